// The last step: whoever takes the hub's place on the network, certificates and all, still cannot make a spoke run anything
// but what the signing key signed, and never anything older than what it has run.

import { join } from 'node:path';
import { loadOrCreateSigningKey } from '@weir/hub/io/signing-key.ts';
import { readEnvelope } from '@weir/shared/bundle/envelope.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { openBundleStore } from '@weir/spoke/io/bundle-store.ts';
import { forge, loose, withPayload, type LooseBundle } from '../bundle/forge.ts';
import { startHostileHub } from '../federation/hostile-hub.ts';
import { until } from '../federation/local-federation.ts';
import { expect, type Stage } from './stage.ts';

/** What each forgery is answered with. */
const FORGERIES = [
  { name: 'a tampered bundle', nack: 'bad_signature', make: tampered },
  { name: 'an older bundle', nack: 'rollback', make: older },
  { name: 'a bundle signed with a foreign key', nack: 'unknown_key', make: foreign },
] as const;

export async function offerForgeries(stage: Stage): Promise<void> {
  const { federation } = stage;
  const before = await activeDigest(stage);
  stage.say('The hub is stopped, and somebody with its certificates takes its place:');
  federation.hub().kill('SIGTERM');
  await federation.hub().ended;
  const { home, ports } = federation.options;
  {
    await using hostile = await startHostileHub({
      hubHome: join(home, 'hub'),
      workspace: 'weir',
      port: ports.federation,
    });
    for (const { name, nack, make } of FORGERIES) {
      const bundle = await make(stage);
      hostile.offer('payments', { bundle });
      await until(
        () => hostile.words.some(({ digest }) => digest === bundle.digest),
        `the spoke answers the offer of ${name}`,
      );
      const word = hostile.words.find(({ digest }) => digest === bundle.digest);
      expect(word?.nack === nack, `${name} to be refused as ${nack}, not ${word?.nack || 'taken'}`, word?.detail);
      expect((await activeDigest(stage)) === before, 'the good bundle to stay active');
      stage.say(`✓ ${name}: refused, ${word?.nack}: ${word?.detail}`);
    }
  }
  const { malware } = stage.cast;
  const npm = await stage.npm('payments', 'forged', 'install', `${malware.name}@${malware.version}`);
  expect(npm.code !== 0 && npm.output.includes('WEIR-MAL-001'), 'the good bundle to go on refusing', npm.output);
  await federation.startHub();
}

async function tampered(stage: Stage): Promise<LooseBundle> {
  const genuine = await fromDisk(stage, 'current');
  const payload = new TextDecoder().decode(readEnvelope(genuine.envelope).payload);
  const changed = payload.replace(`"version":${genuine.manifest.version}`, `"version":${genuine.manifest.version + 1}`);
  const manifest = { ...genuine.manifest, version: genuine.manifest.version + 1 };
  return {
    ...genuine,
    manifest,
    digest: OTHER_DIGEST,
    envelope: withPayload(genuine.envelope, new TextEncoder().encode(changed)),
  };
}

/** The offer's own claim; a tampered bundle has no digest that anyone vouches for. */
const OTHER_DIGEST = `sha256:${'7'.repeat(64)}` as Digest;

function older(stage: Stage): Promise<LooseBundle> {
  return fromDisk(stage, 'previous');
}

async function foreign(stage: Stage): Promise<LooseBundle> {
  const genuine = await fromDisk(stage, 'current');
  const signer = await loadOrCreateSigningKey(join(stage.scratch, 'foreign-key.pem'));
  return forge(genuine, signer, { manifest: { version: genuine.manifest.version + 10 } });
}

/** A bundle as the spoke itself keeps it. */
async function fromDisk(stage: Stage, pointer: 'current' | 'previous'): Promise<LooseBundle> {
  const disk = await openBundleStore(join(stage.federation.spokeHome('payments'), 'bundles'));
  const digest = await disk.readPointer(pointer);
  const envelope = digest === undefined ? undefined : await disk.readEnvelope(digest);
  if (digest === undefined || envelope === undefined) throw new Error(`the spoke has no ${pointer} bundle`);
  const bundle = loose({ digest, envelope }, new Map());
  const layers = new Map<Digest, Uint8Array>();
  for (const ref of bundle.manifest.layers) {
    const bytes = await disk.readLayer(ref.digest);
    if (bytes !== undefined) layers.set(ref.digest, bytes);
  }
  return { ...bundle, layers };
}

async function activeDigest(stage: Stage): Promise<string> {
  const port = stage.federation.options.ports.spokes.payments + 1;
  const status = (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as {
    bundle: { digest: string } | null;
  };
  return status.bundle?.digest ?? '';
}
