// Logs as folders in the layout of tlog-tiles: a write-once copy, a native export, or one log of either. Nothing is changed.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import type { LogSource } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { copiedLog } from '../audit/copied-log.ts';
import { COPY_OBJECTS, copyPath, OBJECT_BYTES_MAX } from '../audit/copy-target.ts';
import type { KeysBeside } from './trusted-keys.ts';

/** A log to verify, wherever it was found. */
export interface FoundLog {
  /** Log id. */
  readonly log: string;
  /** Where, for people. */
  readonly place: string;
  readonly source: LogSource;
  readonly beside: KeysBeside;
}

/** Verifier keys that a native export has beside each log, besides what a copy has. */
export const EXPORT_OBJECTS = { spokeVkey: 'spoke.vkey', hubVkey: 'hub.vkey' } as const;

/** How deep below a folder logs are looked for: `<copy>/logs/<log>` and one level to spare. */
const DEPTH_MAX = 3;

/** Every log in or below a folder, by path. Empty when there is none; throws `not_found` when there is no such folder. */
export function logsBelow(folder: string): readonly FoundLog[] {
  if (!existsSync(folder)) throw new WeirError('not_found', `there is no folder ${folder}`);
  return walk(folder, DEPTH_MAX).map(logIn);
}

function walk(folder: string, depth: number): readonly string[] {
  if (existsSync(join(folder, COPY_OBJECTS.checkpoint))) return [folder];
  if (depth === 0) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
    .flatMap((name) => walk(join(folder, name), depth - 1));
}

function logIn(folder: string): FoundLog {
  const { origin } = readCheckpoint(readFileSync(join(folder, COPY_OBJECTS.checkpoint)));
  const log = origin.slice(origin.indexOf('/') + 1);
  const prefix = copyPath(log, '');
  const pathOf = (object: string): string => join(folder, object.slice(prefix.length));
  const source = copiedLog(
    {
      read: (object) => Promise.resolve(fileAt(pathOf(object))),
      list: (object) => Promise.resolve(existsSync(pathOf(object)) ? readdirSync(pathOf(object)).toSorted() : []),
    },
    log,
  );
  const text = (name: string): string => fileAt(join(folder, name))?.toString('utf8').trim() ?? '';
  return {
    log,
    place: folder,
    source,
    beside: {
      vkey: text(COPY_OBJECTS.vkey),
      binding: fileAt(join(folder, COPY_OBJECTS.binding)) ?? Buffer.alloc(0),
      hubVkey: text(EXPORT_OBJECTS.hubVkey),
    },
  };
}

function fileAt(path: string): Buffer | undefined {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > OBJECT_BYTES_MAX) throw new WeirError('too_large', `${path} is larger than any file of a log`);
    return bytes;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw thrown;
  }
}
