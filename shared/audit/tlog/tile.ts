// Tiles and entry bundles of c2sp.org/tlog-tiles: the same folder of files serves disk, bucket and auditors. A tile holds
// up to 256 consecutive hashes of one level, a bundle up to 256 rows with their lengths.

import { WeirError } from '../../errors/weir-error.ts';

/** Hashes in a full tile, rows in a full bundle; a level of tiles is eight levels of the tree. */
export const TILE_WIDTH = 256;
/** Bytes of one row in a bundle: its length has 16 bits. */
export const ENTRY_BYTES_MAX = 65_535;
const TILE_LEVEL_MAX = 63;

/** What a path of the layout names; a full tile or bundle has width 256. */
export type TilePath =
  | { readonly kind: 'tile'; readonly level: number; readonly index: number; readonly width: number }
  | { readonly kind: 'entries'; readonly index: number; readonly width: number };

/** `tile/<level>/<index>`, with `.p/<width>` when the tile is partial. */
export function tilePath(level: number, index: number, width: number = TILE_WIDTH): string {
  if (!isCount(level) || level > TILE_LEVEL_MAX) throw new WeirError('invalid_argument', 'no such tile level');
  return `tile/${level}/${indexPath(index, width)}`;
}

/** `tile/entries/<index>`, with `.p/<width>` when the bundle is partial. */
export function entriesPath(index: number, width: number = TILE_WIDTH): string {
  return `tile/entries/${indexPath(index, width)}`;
}

const PATH = /^tile\/(?:(entries)|(0|[1-9]\d?))\/((?:x\d{3}\/)*)(\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** What a path names, undefined when it is not spelled exactly as `tilePath` and `entriesPath` spell it. */
export function parseTilePath(path: string): TilePath | undefined {
  const match = PATH.exec(path);
  if (match === null) return undefined;
  const [, entries, levelText = '0', high = '', low = '', widthText = String(TILE_WIDTH)] = match;
  const index = Number(high.replaceAll(/[x/]/g, '') + low);
  const level = Number(levelText);
  const width = Number(widthText);
  if (!isCount(index) || level > TILE_LEVEL_MAX || width > TILE_WIDTH) return undefined;
  const respelled = entries === undefined ? tilePath(level, index, width) : entriesPath(index, width);
  if (respelled !== path) return undefined;
  return entries === undefined ? { kind: 'tile', level, index, width } : { kind: 'entries', index, width };
}

/** How many hashes tile `index` of `level` has in a tree of `size` leaves: 0 (there is none) to 256. */
export function tileWidth(size: number, level: number, index: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** At most 256 rows, each after its length in two bytes, big-endian. Throws `too_large`. */
export function encodeEntries(rows: readonly Uint8Array[]): Buffer {
  if (rows.length > TILE_WIDTH) throw new WeirError('too_large', `a bundle holds at most ${TILE_WIDTH} rows`);
  let total = 0;
  for (const row of rows) {
    if (row.length > ENTRY_BYTES_MAX) {
      throw new WeirError('too_large', `a row of a bundle is at most ${ENTRY_BYTES_MAX} bytes`);
    }
    total += 2 + row.length;
  }
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (const row of rows) {
    at = bytes.writeUInt16BE(row.length, at);
    bytes.set(row, at);
    at += row.length;
  }
  return bytes;
}

/** The rows of a bundle, as views of `bytes`. Throws `corrupt` when it ends within a row or holds more than 256. */
export function decodeEntries(bytes: Uint8Array): Buffer[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows: Buffer[] = [];
  for (let at = 0; at < buffer.length; ) {
    const start = at + 2;
    const end = start <= buffer.length ? start + buffer.readUInt16BE(at) : Number.POSITIVE_INFINITY;
    if (end > buffer.length) throw new WeirError('corrupt', `an entry bundle ends within row ${rows.length}`);
    if (rows.length === TILE_WIDTH) throw new WeirError('corrupt', `an entry bundle has more than ${TILE_WIDTH} rows`);
    rows.push(buffer.subarray(start, end));
    at = end;
  }
  return rows;
}

function indexPath(index: number, width: number): string {
  if (!isCount(index)) throw new WeirError('invalid_argument', 'a tile index is a whole number');
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new WeirError('invalid_argument', `a tile is 1 to ${TILE_WIDTH} wide`);
  }
  let path = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
