import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { Client, credentials, status } from '@grpc/grpc-js';
import { makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { BundleService, CurrentRequestSchema } from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { EnrollmentService, RenewRequestSchema } from '@weir/proto/weir/enrollment/v1/enrollment_pb.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import { testPostgres } from './database.ts';
import { hubUnderTest } from './hub-under-test.ts';
import { caOf, spokeWith, tlsKey, unary } from './spoke-under-test.ts';

const server = testPostgres();
const bundles = grpcMethods(BundleService);
const enrollment = grpcMethods(EnrollmentService);
const anything = create(CurrentRequestSchema);
const HOUR = 3_600_000;

test('only a certificate of the own CA that names one spoke of this workspace is let in', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const good = await under.spoke('payments', 'payments-1');
  const ca = await caOf(under.hub);
  const text = await readFile(join(under.home, 'ca', 'ca.pem'), 'utf8');
  const own = await openAuthority('weir', { key: text, chain: ca }, systemRandom);
  const foreign = await openAuthority('weir', await makeAuthority('weir', Date.now(), systemRandom), systemRandom);
  const name = { workspace: 'weir', unit: 'payments', spoke: 'payments-1' };
  const validity = { fromMs: Date.now(), ttlMs: HOUR };

  const key = await tlsKey();
  const cases: readonly (readonly [string, string, string])[] = [
    ['of a foreign CA', key.pem, (await foreign.issueSpoke(name, key.csr, validity)).chain],
    ['of another workspace', key.pem, (await own.issueSpoke({ ...name, workspace: 'other' }, key.csr, validity)).chain],
    [
      "the hub's own",
      ...(await own.issueHub(['localhost'], validity).then(({ key: pem, chain }) => [pem, chain] as const)),
    ],
    ['not yet valid', key.pem, (await own.issueSpoke(name, key.csr, { fromMs: Date.now() + HOUR, ttlMs: HOUR })).chain],
  ];
  for (const [what, pem, chain] of cases) {
    const spoke = spokeWith(under.hub, ca, pem, { unit: '', spoke: '', certificateChain: chain, notAfter: 0n });
    await assert.rejects(spoke.call(bundles.current, anything), { code: status.UNAVAILABLE }, `a certificate ${what}`);
    spoke.close();
  }
  const bare = new Client(`127.0.0.1:${under.hub.addresses.federation.port}`, credentials.createSsl(Buffer.from(ca)), {
    'grpc.ssl_target_name_override': 'localhost',
  });
  await assert.rejects(unary(bare, bundles.current, anything), { code: status.UNAVAILABLE }, 'no certificate');
  bare.close();
  await good.call(bundles.current, anything);

  const metrics = await (await fetch(`${under.hub.addresses.adminUrl}/metrics`)).text();
  for (const reason of ['untrusted', 'not_a_spoke', 'no_certificate']) {
    assert.match(metrics, new RegExp(`weir_hub_connections_refused_total\\{reason="${reason}"\\} [1-9]`));
  }
});

test('the join port serves nothing but the join', async (t) => {
  const under = await hubUnderTest(t, server);
  const client = new Client(
    `127.0.0.1:${under.hub.addresses.join.port}`,
    credentials.createSsl(Buffer.from(await caOf(under.hub))),
    { 'grpc.ssl_target_name_override': 'localhost' },
  );
  t.after(() => client.close());
  await assert.rejects(unary(client, bundles.current, anything), { code: status.UNIMPLEMENTED });
  await assert.rejects(unary(client, enrollment.renew, create(RenewRequestSchema)), { code: status.UNAUTHENTICATED });
});

test('only TLS 1.3 is spoken, and no session can be resumed past a certificate', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const spoke = await under.spoke('payments', 'payments-1');
  const options = {
    host: '127.0.0.1',
    port: under.hub.addresses.federation.port,
    servername: 'localhost',
    ca: await caOf(under.hub),
    cert: spoke.certificateChain,
    key: spoke.keyPem,
    ALPNProtocols: ['h2'],
  };
  const old = connect({ ...options, maxVersion: 'TLSv1.2' });
  const [refused] = (await once(old, 'error')) as [Error];
  assert.match(refused.message, /protocol version/i);

  const first = connect(options);
  const sessions: Buffer[] = [];
  first.on('session', (session) => sessions.push(session));
  await once(first, 'secureConnect');
  // The server's first HTTP/2 frame comes after any ticket.
  await once(first, 'data');
  first.destroy();
  for (const session of sessions) {
    const again = connect({ ...options, session });
    await once(again, 'secureConnect');
    assert.equal(again.isSessionReused(), false, 'the hub remembers no session and seals none into tickets');
    again.destroy();
  }
});

test('a message of very many empty fields ends its own call and nothing else', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const spoke = await under.spoke('payments', 'payments-1');
  const crowded = { ...bundles.current, requestSerialize: () => Buffer.alloc(3 << 20, Buffer.from([0xfa, 0x07, 0])) };
  await assert.rejects(spoke.call(crowded, anything), { code: status.INTERNAL });
  await spoke.call(bundles.current, anything);
});
