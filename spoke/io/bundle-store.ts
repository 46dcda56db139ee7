// Bundles on the spoke's disk. A file gets its name only when its bytes are on the disk (temp, fsync, rename, fsync of the
// folder), so after a crash every name stands for a whole file; leftovers of interrupted writes are swept at the next start.
//
// layers/<hex> · partial/<hex> · envelopes/<hex>.sigstore.json · current · previous · bootstrap · high-water

import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hexOf, isDigest, type Digest } from '@weir/shared/domain/digest.ts';
import { BUNDLE_LIMITS } from '@weir/shared/bundle/manifest.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { highWaterSchema, type BundleDisk, type Pointer } from '../bundle/bundle-disk.ts';

const OWNER_ONLY = 0o600;
const TEMPORARY = /\.tmp$/;
/** Pointers and the mark are one short line. */
const SMALL_FILE_BYTES = 4096;

/**
 * Opens (and when needed makes) the store in `folder`; sweeps it unless another process may be writing there. Throws
 * `unavailable` when the folder cannot be used.
 */
export async function openBundleStore(folder: string, { sweep = true } = {}): Promise<BundleDisk> {
  const layers = join(folder, 'layers');
  const partials = join(folder, 'partial');
  const envelopes = join(folder, 'envelopes');
  try {
    for (const path of [layers, partials, envelopes]) await mkdir(path, { recursive: true, mode: 0o700 });
    for (const path of sweep ? [folder, layers, envelopes] : []) {
      for (const name of await readdir(path)) if (TEMPORARY.test(name)) await rm(join(path, name), { force: true });
    }
  } catch (cause) {
    throw new WeirError('unavailable', 'the bundle folder cannot be used', {
      cause,
      next: 'check that the spoke owns its home and that the disk is writable',
    });
  }
  const layerPath = (digest: Digest): string => join(layers, hexOf(digest));
  const partialPath = (digest: Digest): string => join(partials, hexOf(digest));
  const envelopePath = (digest: Digest): string => join(envelopes, `${hexOf(digest)}.sigstore.json`);

  return {
    readLayer: (digest) => readBounded(layerPath(digest), BUNDLE_LIMITS.jsonLayerBytes),
    async partialSize(digest) {
      try {
        return (await stat(partialPath(digest))).size;
      } catch (thrown) {
        if (isMissing(thrown)) return 0;
        throw thrown;
      }
    },
    async appendPartial(digest, bytes) {
      await using file = await open(partialPath(digest), 'a', OWNER_ONLY);
      await file.writeFile(bytes);
    },
    async readPartial(digest) {
      return (await readBounded(partialPath(digest), BUNDLE_LIMITS.jsonLayerBytes)) ?? new Uint8Array();
    },
    dropPartial: (digest) => rm(partialPath(digest), { force: true }),
    async keepPartial(digest) {
      {
        await using file = await open(partialPath(digest), 'r+');
        await file.sync();
      }
      await rename(partialPath(digest), layerPath(digest));
      await syncFolder(layers);
    },
    readEnvelope: (digest) => readBounded(envelopePath(digest), BUNDLE_LIMITS.envelopeBytes),
    writeEnvelope: (digest, bytes) => replaceFile(envelopePath(digest), bytes),
    async readPointer(name) {
      const text = await readSmall(join(folder, name));
      if (text === undefined) return undefined;
      const digest = text.trimEnd();
      if (isDigest(digest)) return digest;
      throw new WeirError('corrupt', `the ${name} file of the bundle folder is damaged`);
    },
    writePointer: (name: Pointer, bundle) => replaceFile(join(folder, name), Buffer.from(`${bundle}\n`)),
    async readHighWater() {
      const text = await readSmall(join(folder, 'high-water'));
      if (text === undefined) return undefined;
      try {
        return highWaterSchema.parse(JSON.parse(text));
      } catch (cause) {
        // Without the mark nobody can tell whether a bundle is older than the last one: better no bundle than an old one.
        throw new WeirError('corrupt', 'the high-water file of the bundle folder is damaged', {
          cause,
          next: 'restore the file from a copy, or enroll this spoke again',
        });
      }
    },
    writeHighWater: (mark) => replaceFile(join(folder, 'high-water'), Buffer.from(`${JSON.stringify(mark)}\n`)),
    async keepOnly(kept) {
      const keep = new Set([...kept.layers].map(hexOf));
      const bundles = new Set([...kept.bundles].map((digest) => `${hexOf(digest)}.sigstore.json`));
      for (const name of await readdir(layers)) if (!keep.has(name)) await rm(join(layers, name), { force: true });
      for (const name of await readdir(partials)) if (!keep.has(name)) await rm(join(partials, name), { force: true });
      for (const name of await readdir(envelopes))
        if (!bundles.has(name)) await rm(join(envelopes, name), { force: true });
    },
  };
}

async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    {
      await using file = await open(temporary, 'wx', OWNER_ONLY);
      await file.writeFile(bytes);
      await file.sync();
    }
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
  await syncFolder(dirname(path));
}

/** Makes a rename durable. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new WeirError('corrupt', 'a file of the bundle folder is larger than it can be');
    return await readFile(path);
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

async function readSmall(path: string): Promise<string | undefined> {
  const bytes = await readBounded(path, SMALL_FILE_BYTES);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

function isMissing(thrown: unknown): boolean {
  return (thrown as { code?: unknown } | null)?.code === 'ENOENT';
}
