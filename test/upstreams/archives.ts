// Builds the two archive forms that packages come in, reproducibly: same entries, same bytes.

import { constants, gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { pack } from 'tar-stream';

/** Path inside the archive to content; order is kept. */
export type Entries = Readonly<Record<string, string | Uint8Array>>;

/** Every entry's time: late enough for zip, whose calendar begins in 1980. */
const ENTRY_TIME = new Date('2020-01-01T00:00:00Z');

/** Gzipped tar with every path under `root`, as npm tarballs (`package`) and source archives (`name-version`) have it. */
export async function packTarball(entries: Entries, root: string): Promise<Buffer> {
  const archive = pack();
  for (const [path, content] of Object.entries(entries)) {
    archive.entry({ name: `${root}/${path}`, mtime: ENTRY_TIME, mode: 0o644 }, Buffer.from(content));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks), { level: constants.Z_BEST_SPEED });
}

export function packZip(entries: Entries): Buffer {
  const files = Object.fromEntries(
    Object.entries(entries).map(([path, content]) => [path, new Uint8Array(Buffer.from(content))]),
  );
  return Buffer.from(zipSync(files, { mtime: ENTRY_TIME, level: 6 }));
}
