// The home of a spoke that is enrolled and holds a verified bundle, made without a database: the real publisher over stores
// in memory, the shipped floor, the overlay of payments, a real certificate. The hub it names does not exist, so whoever
// starts there enforces from disk alone, as after an outage.

import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { selectFloorFiles, selectOverlayFiles } from '@weir/hub/floor/source-tree.ts';
import { readSourceFolder } from '@weir/hub/io/source-folder.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { defaultSettings } from '@weir/hub/unit/default-settings.ts';
import { encodeTrustRoot, type TrustRoot } from '@weir/shared/bundle/trust-root.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';
import { type LooseBundle, loose } from '../bundle/forge.ts';
import { memoryHub, WORKSPACE } from '../bundle/memory-hub.ts';
import { POLICIES } from '../bundle/opa-for-tests.ts';
import { looseSource, startSpoke } from '../bundle/spoke-side.ts';
import { tlsKey } from '../hub/spoke-under-test.ts';

const UNIT = 'payments';
const SPOKE = 'payments-1';
/** Nothing listens on the discard port. */
const NO_HUB = '127.0.0.1:9';
const CERTIFICATE_MS = 86_400_000;

interface Published {
  readonly bundle: LooseBundle;
  readonly trustRoot: TrustRoot;
}

let published: Promise<Published> | undefined;

/** Fills an empty folder; the first call publishes the bundle, which takes OPA some seconds. */
export async function makeSpokeHome(
  home: string,
  upstreams: { readonly npm: string; readonly pypi?: string },
): Promise<void> {
  const { bundle, trustRoot } = await (published ??= publish());
  const source = looseSource(1 << 20);
  source.give(bundle);
  const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now(), sleep: async () => undefined };
  const installer = await startSpoke({ folder: join(home, 'bundles'), source, trustRoot, clock, unit: UNIT });
  const { nack, detail } = await installer.offer(bundle);
  if (nack !== '') throw new Error(`the bundle was refused: ${nack}: ${detail}`);
  installer.holder.current()?.prepared.engine.close();
  await enrol(home, trustRoot);
  await writeFile(
    join(home, 'spoke.json'),
    JSON.stringify({
      schema: 'weir.spoke/v1',
      name: SPOKE,
      site: 'bench',
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      hub: [NO_HUB],
      upstreams: {
        npm: { url: upstreams.npm },
        ...(upstreams.pypi === undefined ? {} : { pypi: { url: upstreams.pypi } }),
      },
      // Nobody collects the rows of a run.
      limits: { spool_bytes: 2 ** 31 },
    }),
  );
}

async function publish(): Promise<Published> {
  const hub = await memoryHub({ nowS: Math.floor(Date.now() / 1000) });
  hub.addUnit({ ...defaultSettings(UNIT), anonymous: true });
  const all = await readSourceFolder(POLICIES);
  const tree = [...selectFloorFiles(all), ...all.filter(({ path }) => path === 'intel/intel.json')];
  const by = { note: '', by: 'bench', dryRun: false };
  const floor = await hub.publisher.publishFloor({ files: tree, ...by });
  const files = selectOverlayFiles(await readSourceFolder(join(POLICIES, 'overlay', UNIT)));
  const overlay = await hub.publisher.publishOverlay(UNIT, { files, ...by });
  const findings = [...floor.findings, ...overlay.findings];
  if (findings.length > 0) throw new Error(`the shipped policies were refused: ${JSON.stringify(findings)}`);
  return { bundle: loose(await hub.current(UNIT), hub.bundles.layers), trustRoot: hub.trustRoot };
}

async function enrol(home: string, trustRoot: TrustRoot): Promise<void> {
  const nowMs = Date.now();
  const authority = await openAuthority(WORKSPACE, await makeAuthority(WORKSPACE, nowMs, systemRandom), systemRandom);
  const tls = await tlsKey();
  const name = { workspace: WORKSPACE, unit: UNIT, spoke: SPOKE };
  const issued = await authority.issueSpoke(name, tls.csr, { fromMs: nowMs, ttlMs: CERTIFICATE_MS });
  createIdentityStore(home).write({
    schema: 'weir.identity/v1',
    workspace: WORKSPACE,
    unit: UNIT,
    spoke: SPOKE,
    certificate_chain: issued.chain,
    tls_key: tls.pem,
    ca_bundle: authority.certificate,
    not_after_ms: issued.notAfterMs,
    log_key: generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }),
    unit_salt: Buffer.from(systemRandom.bytes(32)).toString('hex'),
    trust_root: Buffer.from(encodeTrustRoot(trustRoot)).toString('utf8'),
  });
}
