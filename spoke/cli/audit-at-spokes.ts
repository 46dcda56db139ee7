// What the ledger's commands can do without the hub: the logs of a spoke's home for `weir audit verify`, and proofs of rows from
// the spokes of this machine for `weir audit prove`.

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { splitNote } from '@weir/shared/audit/tlog/note.ts';
import { inclusionProof } from '@weir/shared/audit/tlog/proof.ts';
import { encodeRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import { TILE_WIDTH, tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import type { LogSource } from '@weir/shared/audit/verify-log.ts';
import { parseTrustRoot } from '@weir/shared/bundle/trust-root.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { findCode } from '../audit/find-code.ts';
import { viewLog } from '../audit/view-log.ts';
import { createIdentityStore } from '../io/identity-store.ts';
import { viewSpoolDisk } from '../io/spool-disk.ts';
import { knownSpokeHomes } from './spoke-home.ts';
import { spokeLogSource } from './spoke-log-source.ts';
import { fileOf, type LogFolder, logFoldersIn } from './spoke-logs.ts';

export interface LogAtSpoke {
  readonly log: string;
  readonly place: string;
  readonly source: LogSource;
  readonly beside: { readonly vkey: string; readonly binding: Uint8Array; readonly hubVkey: string };
}

export interface RowAtSpokeProven {
  readonly log: string;
  readonly index: number;
  readonly size: number;
  readonly proof: string;
  readonly logVkey: string;
  /** '' when only the log has signed. */
  readonly hubVkey: string;
}

type RowName =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'place'; readonly log: string; readonly index: number };

/** Logs in a spoke's home, or the one whose own folder this is; undefined when the folder is neither. */
export function spokeLogsAt(folder: string): Promise<readonly LogAtSpoke[] | undefined> {
  const path = resolve(folder);
  if (existsSync(join(path, 'audit'))) return Promise.resolve(logFoldersIn(path).map((each) => logAt(path, each)));
  if (!existsSync(join(path, 'log.json'))) return Promise.resolve(undefined);
  // `<home>/audit/<worker>/<epoch>`
  const home = dirname(dirname(dirname(path)));
  const found = logFoldersIn(home).filter((each) => each.path === path);
  return Promise.resolve(found.length === 0 ? undefined : found.map((each) => logAt(home, each)));
}

/** The proof of a row that a spoke of this machine still has, under what the log has signed; undefined when none has it. */
export async function proveAtSpokes(row: RowName): Promise<RowAtSpokeProven | undefined> {
  for (const home of knownSpokeHomes(undefined)) {
    for (const folder of logFoldersIn(home)) {
      const found = await indexIn(folder, row);
      if (found !== undefined) return proveIn(logAt(home, folder), found);
    }
  }
  return undefined;
}

function logAt(home: string, folder: LogFolder): LogAtSpoke {
  const binding = fileOf(folder.path, 'binding') ?? Buffer.alloc(0);
  return {
    log: folder.log,
    place: folder.path,
    source: spokeLogSource(folder),
    beside: { vkey: vkeyIn(binding), binding, hubVkey: hubVkeyOf(home) },
  };
}

async function indexIn({ path, log, closure }: LogFolder, row: RowName): Promise<number | undefined> {
  // Rows are found by their code; whoever has only an id asks the hub.
  if (row.kind === 'id' || parseLogId(log) === undefined || (row.kind === 'place' && row.log !== log)) return undefined;
  const disk = viewSpoolDisk(path);
  if (row.kind === 'code') {
    return (await findCode(disk, log, closure?.size ?? Number.MAX_SAFE_INTEGER, row.code))?.index;
  }
  const view = await viewLog(disk).catch(() => undefined);
  return view !== undefined && row.index < view.nextIndex ? row.index : undefined;
}

async function proveIn({ log, source, beside }: LogAtSpoke, index: number): Promise<RowAtSpokeProven> {
  const checkpoint = await source.checkpoint();
  const { size } = readCheckpoint(checkpoint);
  if (index >= size) {
    throw new WeirError('unavailable', `row ${index} of ${log} is not signed yet: its checkpoint covers ${size} rows`, {
      retry: 'now',
      next: 'ask again in a second; a spoke that runs signs at least that often',
    });
  }
  const first = index - (index % TILE_WIDTH);
  const bundle = await source.entries(first / TILE_WIDTH, Math.min(TILE_WIDTH, size - first));
  const row = bundle?.[index - first];
  if (row === undefined) {
    throw new WeirError('not_found', `row ${index} of ${log} is no longer on this spoke`, {
      next: 'the hub has it: ask there',
    });
  }
  const nodes = nodesFromTiles(async (level, at) => {
    const tile = await source.tile(level, at, tileWidth(size, level, at));
    if (tile === undefined) throw new WeirError('integrity', `${log} lacks tile ${level}/${at}`);
    return tile;
  });
  const proof = encodeRowProof({ row, index, proof: await inclusionProof(size, index, nodes), checkpoint });
  const cosigned = splitNote(checkpoint).signatures.length > 1;
  return { log, index, size, proof, logVkey: beside.vkey, hubVkey: cosigned ? beside.hubVkey : '' };
}

/** The verifier key that a binding names: its third line. */
function vkeyIn(binding: Buffer): string {
  try {
    return splitNote(binding).text.split('\n')[2] ?? '';
  } catch {
    return '';
  }
}

/** The hub's receipt key as this spoke has pinned it, '' when it has none. */
function hubVkeyOf(home: string): string {
  try {
    const { trust_root: text } = createIdentityStore(home).read();
    return parseTrustRoot(Buffer.from(text, 'utf8')).receipt_keys?.[0] ?? '';
  } catch {
    return '';
  }
}
