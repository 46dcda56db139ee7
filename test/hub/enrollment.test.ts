import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { BundleService, CurrentRequestSchema } from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { SpokeService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { EnrollmentService, LeaveRequestSchema } from '@weir/proto/weir/enrollment/v1/enrollment_pb.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import { testPostgres } from './database.ts';
import { type HubUnderTest, hubUnderTest } from './hub-under-test.ts';
import { callJoin, caOf, joinAs, joinRequest, spokeWith, tlsKey } from './spoke-under-test.ts';

const server = testPostgres();
const bundles = grpcMethods(BundleService);
const enrollment = grpcMethods(EnrollmentService);
const anything = create(CurrentRequestSchema);

function alarms(under: HubUnderTest): Promise<readonly string[]> {
  return under.events().then((events) => events.filter(({ alarm }) => alarm).map(({ kind }) => kind));
}

test('a join gives a short certificate that names exactly one spoke, whatever the request asked for', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const key = await tlsKey('P-256', 'CN=root, O=somebody else');
  const { request } = await joinRequest(await under.invite('payments', 'payments-1'), 'payments-1', { csr: key.csr });
  const { identity, trustRoot, federationAddresses } = await callJoin(under.hub, request);
  assert.ok(identity !== undefined);
  assert.deepEqual([identity.workspace, identity.unit, identity.spoke], ['weir', 'payments', 'payments-1']);
  assert.equal(identity.unitSalt.byteLength, 32);
  assert.equal(JSON.parse(Buffer.from(trustRoot).toString()).schema, 'weir.trust-root/v1');
  assert.deepEqual(federationAddresses, [`127.0.0.1:${under.hub.addresses.federation.port}`]);

  const leaf = new X509Certificate(identity.certificateChain);
  assert.equal(leaf.subjectAltName, 'URI:spiffe://weir.weir/unit/payments/spoke/payments-1');
  assert.equal(leaf.subject, 'CN=payments-1');
  assert.equal(leaf.ca, false);
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1']);
  assert.equal(Number(identity.notAfter) * 1000, Date.parse(leaf.validTo));
  const lifeMs = Date.parse(leaf.validTo) - Date.parse(leaf.validFrom);
  assert.ok(lifeMs > 3_600_000 && lifeMs <= 3_661_000, `life of ${lifeMs} ms`);
  assert.ok(leaf.checkIssued(new X509Certificate(await caOf(under.hub))));
  assert.match(leaf.serialNumber, /^[0-9A-F]{30}$/);
});

test('a join token works once: reuse, another spoke and an expired one are refused alike, each with an alarm', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');

  const used = await under.invite('payments', 'a');
  (await joinAs(under.hub, { token: used, name: 'a' })).close();
  const wrong = await under.invite('payments', 'b');
  const expired = await under.invite('payments', 'c');
  await under.pool.query("UPDATE join_tokens SET expires_at = now() - interval '1 second' WHERE spoke = 'c'");
  const unknown = `weirjoin_${'A'.repeat(43)}`;

  for (const [token, name] of [
    [used, 'a'],
    [wrong, 'other'],
    [expired, 'c'],
    [unknown, 'd'],
  ] as const) {
    const { request } = await joinRequest(token, name);
    await assert.rejects(callJoin(under.hub, request), {
      code: status.UNAUTHENTICATED,
      details: 'the join token is not valid',
    });
  }
  // The token that was tried for another spoke is burnt for its own as well.
  const { request } = await joinRequest(wrong, 'b');
  await assert.rejects(callJoin(under.hub, request), { code: status.UNAUTHENTICATED });
  assert.deepEqual(await alarms(under), [
    'join_token_reused',
    'join_token_wrong_spoke',
    'join_token_expired',
    'join_token_unknown',
    'join_token_reused',
  ]);
  const { rows } = await under.pool.query('SELECT sha256 FROM join_tokens');
  assert.ok(
    !JSON.stringify(rows).includes(used) && !under.logLines.join('').includes(used),
    'no token is kept or logged',
  );
});

test('of many that use one token at the same time, exactly one joins', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const token = await under.invite('payments', 'payments-1');
  const requests = await Promise.all(Array.from({ length: 8 }, () => joinRequest(token, 'payments-1')));
  const outcomes = await Promise.allSettled(requests.map(({ request }) => callJoin(under.hub, request)));
  assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
  assert.equal((await alarms(under)).filter((kind) => kind === 'join_token_reused').length, 7);
});

test('a malformed join burns nothing', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const token = await under.invite('payments', 'payments-1');
  const good = await joinRequest(token, 'payments-1');
  const tampered = Uint8Array.from(good.request.csr);
  tampered[tampered.length - 5] = (tampered.at(-5) ?? 0) ^ 1;
  const other = await joinRequest(`weirjoin_${'B'.repeat(43)}`, 'payments-1');
  for (const change of [
    { logKeyProof: other.request.logKeyProof },
    { logKey: new Uint8Array(31) },
    { site: 'no spaces please' },
    { joinToken: 'weirjoin_short' },
  ]) {
    const { request } = await joinRequest(token, 'payments-1', change);
    await assert.rejects(callJoin(under.hub, request), { code: status.INVALID_ARGUMENT });
  }
  // Anybody can sign for the neutral point: its own spelling and a zero prove "possession" of it, whatever is signed.
  const neutral = Uint8Array.of(1, ...new Uint8Array(31));
  const forged = await joinRequest(token, 'payments-1', {
    logKey: neutral,
    logKeyProof: Uint8Array.of(...neutral, ...new Uint8Array(32)),
  });
  await assert.rejects(callJoin(under.hub, forged.request), {
    code: status.INVALID_ARGUMENT,
    details: 'the join is not valid: log_key is not usable: its point is of low order',
  });
  (await joinAs(under.hub, { token, name: 'payments-1' })).close();
  assert.deepEqual(await alarms(under), []);

  // What only the certificate request says is found after the token was burnt.
  for (const csr of [tampered, (await tlsKey('P-384')).csr, new Uint8Array(5000), new Uint8Array()]) {
    const next = await under.invite('payments', 'payments-2');
    const { request } = await joinRequest(next, 'payments-2', { csr });
    await assert.rejects(callJoin(under.hub, request), { code: status.INVALID_ARGUMENT });
  }
});

test('a live identity is not replaced unless the invitation says so; then the old one is shut out at once', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const early = await under.invite('payments', 'payments-1');
  const first = await under.spoke('payments', 'payments-1');
  await first.call(bundles.current, anything);

  await assert.rejects(under.invite('payments', 'payments-1'), /live identity/);
  const { request } = await joinRequest(early, 'payments-1');
  await assert.rejects(callJoin(under.hub, request), { code: status.FAILED_PRECONDITION });
  assert.deepEqual(await alarms(under), ['join_over_live_identity']);

  const token = await under.invite('payments', 'payments-1', { replace: true });
  const second = await joinAs(under.hub, { token, name: 'payments-1' });
  await second.call(bundles.current, anything);
  await assert.rejects(first.call(bundles.current, anything));
  await assert.rejects(first.renew());
  second.close();
});

test('a renewal gives a new certificate, and the old one stays good until it expires', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const spoke = await under.spoke('payments', 'payments-1');
  const renewed = await spoke.renew();
  t.after(() => renewed.close());
  assert.notEqual(
    new X509Certificate(renewed.certificateChain).serialNumber,
    new X509Certificate(spoke.certificateChain).serialNumber,
  );
  await renewed.call(bundles.current, anything);
  await spoke.call(bundles.current, anything);
});

test('a spoke that leaves or is revoked is refused from then on, on open connections too', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const leaving = await under.spoke('payments', 'leaving');
  await leaving.call(enrollment.leave, create(LeaveRequestSchema, { reason: 'moved' })).catch(() => undefined);
  await assert.rejects(leaving.call(bundles.current, anything));

  const revoked = await under.spoke('payments', 'revoked');
  await revoked.call(bundles.current, anything);
  const watch = revoked.stream(bundles.watch, create(bundlesWatch(), {}));
  const ended = new Promise<void>((resolve) => {
    watch.on('error', () => resolve());
    watch.on('end', () => resolve());
  });
  watch.resume();
  const { certificates } = await under
    .admin(SpokeService)
    .revoke({ unit: 'payments', spoke: 'revoked', reason: 'stolen' });
  assert.equal(certificates, 1);
  await ended;
  await assert.rejects(revoked.call(bundles.current, anything));
  await assert.rejects(revoked.renew());
});

test('a revocation withdraws the invitations that are still out, also of a spoke that never joined', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  (await under.spoke('payments', 'stolen')).close();
  const replacing = await under.invite('payments', 'stolen', { replace: true });
  const unused = await under.invite('payments', 'leaked');
  for (const [token, spoke] of [
    [replacing, 'stolen'],
    [unused, 'leaked'],
  ] as const) {
    await under.admin(SpokeService).revoke({ unit: 'payments', spoke, reason: 'leaked' });
    const { request } = await joinRequest(token, spoke);
    await assert.rejects(callJoin(under.hub, request), { code: status.UNAUTHENTICATED });
  }
  await assert.rejects(under.admin(SpokeService).revoke({ unit: 'payments', spoke: 'nobody', reason: '' }), /no spoke/);
  const token = await under.invite('payments', 'stolen');
  (await joinAs(under.hub, { token, name: 'stolen' })).close();
});

test('an expired certificate can do one thing within its grace: be renewed', async (t) => {
  const under = await hubUnderTest(t, server, { identity: { renewal_grace_s: 3600 } });
  await under.createUnit('payments');
  const live = await under.spoke('payments', 'payments-1');
  const text = await readFile(join(under.home, 'ca', 'ca.pem'), 'utf8');
  const authority = await openAuthority('weir', { key: text, chain: await caOf(under.hub) }, systemRandom);
  const name = { workspace: 'weir', unit: 'payments', spoke: 'payments-1' };

  async function expiredSince(ms: number) {
    const key = await tlsKey();
    const issued = await authority.issueSpoke(name, key.csr, { fromMs: Date.now() - ms - 60_000, ttlMs: 60_000 });
    await under.pool.query(
      'INSERT INTO certificates (serial, unit, spoke, issued_at, not_after) VALUES ($1, $2, $3, now(), $4)',
      [issued.serial, 'payments', 'payments-1', new Date(issued.notAfterMs)],
    );
    const spoke = spokeWith(under.hub, await caOf(under.hub), key.pem, {
      unit: 'payments',
      spoke: 'payments-1',
      certificateChain: issued.chain,
      notAfter: 0n,
    });
    t.after(() => spoke.close());
    return spoke;
  }

  const recent = await expiredSince(60_000);
  await assert.rejects(recent.call(bundles.current, anything), { code: status.UNAUTHENTICATED });
  const renewed = await recent.renew();
  t.after(() => renewed.close());
  await renewed.call(bundles.current, anything);

  const old = await expiredSince(2 * 3_600_000);
  await assert.rejects(old.renew());
  await live.call(bundles.current, anything);
});

function bundlesWatch() {
  return BundleService.method.watch.input;
}
