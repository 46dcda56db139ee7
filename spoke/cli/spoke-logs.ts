// The audit logs in a spoke's home, looked at from outside: nothing is locked and nothing is changed, whether the spoke runs
// or not.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLOSURE_FILE, type Closure, decodeClosure } from '../audit/closure.ts';

export interface LogFolder {
  readonly path: string;
  readonly worker: string;
  /** Log id, '' when its own file does not say it. */
  readonly log: string;
  /** Undefined while rows are added. */
  readonly closure: Closure | undefined;
}

const UNREADABLE: Closure = {
  v: 1,
  reason: 'damaged',
  detail: `${CLOSURE_FILE} cannot be read`,
  at: '',
  size: null,
  salvage_from: null,
  refused: [],
  settled: false,
  salvage: null,
  drained: false,
};

/** Newest first within each worker, workers by name; empty when there is no log. */
export function logFoldersIn(home: string): readonly LogFolder[] {
  const audit = join(home, 'audit');
  return foldersIn(audit)
    .toSorted()
    .flatMap((worker) => {
      const folder = join(audit, worker);
      return [
        folder,
        ...foldersIn(folder)
          .toSorted()
          .toReversed()
          .map((epoch) => join(folder, epoch)),
      ]
        .filter((path) => existsSync(join(path, 'log.json')))
        .map((path) => ({ path, worker, log: nameIn(path), closure: closureIn(path) }));
    });
}

/** The bytes of a small file of a log's folder, undefined when there is none. */
export function fileOf(folder: string, name: string): Buffer | undefined {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path) : undefined;
}

function foldersIn(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

function nameIn(folder: string): string {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'log.json'), 'utf8'));
    return typeof value === 'object' && value !== null && 'log' in value && typeof value.log === 'string'
      ? value.log
      : '';
  } catch {
    return '';
  }
}

function closureIn(folder: string): Closure | undefined {
  const bytes = fileOf(folder, CLOSURE_FILE);
  try {
    return bytes === undefined ? undefined : decodeClosure(bytes);
  } catch {
    // The spoke names this damage at its next start; until then it keeps nobody from reading the rows.
    return UNREADABLE;
  }
}
