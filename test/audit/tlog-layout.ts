// Whole logs in the tlog-tiles layout, in memory and as files, for whoever is to judge them.

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { leafHash, nodeHash } from '@weir/shared/audit/tlog/hash.ts';
import { encodeEntries, entriesPath, TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';

/** Every tile of the tree over these leaves, by `<level>/<index>`. */
export function tilesOf(leaves: readonly Buffer[]): ReadonlyMap<string, Buffer> {
  const tiles = new Map<string, Buffer>();
  let hashes = leaves;
  for (let level = 0; hashes.length > 0; level += 1) {
    const above: Buffer[] = [];
    for (let index = 0; index * TILE_WIDTH < hashes.length; index += 1) {
      const tile = hashes.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH);
      tiles.set(`${level}/${index}`, Buffer.concat(tile));
      if (tile.length === TILE_WIDTH) above.push(rootOf(tile));
    }
    hashes = above;
  }
  return tiles;
}

/** Writes rows and tiles below `folder`, partial ones too, and the checkpoint. */
export async function writeTiles(folder: string, rows: readonly Buffer[], checkpoint: Uint8Array): Promise<void> {
  const write = async (path: string, bytes: Uint8Array): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  };
  for (const [name, tile] of tilesOf(rows.map(leafHash))) {
    const [level = 0, index = 0] = name.split('/').map(Number);
    await write(tilePath(level, index, tile.length / 32), tile);
  }
  for (let index = 0; index * TILE_WIDTH < rows.length; index += 1) {
    const bundle = rows.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH);
    await write(entriesPath(index, bundle.length), encodeEntries(bundle));
  }
  await write('checkpoint', checkpoint);
}

/** By the definition, for a power of two of hashes. */
function rootOf(hashes: readonly Buffer[]): Buffer {
  if (hashes.length === 1) return hashes[0] as Buffer;
  const half = hashes.length / 2;
  return nodeHash(rootOf(hashes.slice(0, half)), rootOf(hashes.slice(half)));
}
