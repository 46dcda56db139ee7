// What an epoch's folder says once no row is added to it any more: why, how far its rows count, and what is still to be done
// with them. The file is rewritten as that work goes on, so that a crash at any moment resumes it.

import { LOG_ID_MAX } from '@weir/shared/audit/log-id.ts';
import { BATCH_ROWS_MAX } from '@weir/shared/wire/audit.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { z } from 'zod';

export const CLOSURE_FILE = 'closed.json';
/** Rows that are recorded again at once. */
export const CHUNK_ROWS_MAX = 256;

const index = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const schema = z.strictObject({
  v: z.literal(1),
  /** One snake_case word: `fork`, `rollback`, `gap`, `poisoned`, `damaged`, `disk_failed`, `interrupted`, … */
  reason: z.string().regex(/^[a-z][a-z0-9_]{0,39}$/),
  detail: z.string().max(400),
  /** RFC 3339 UTC with milliseconds. */
  at: z.string().max(40),
  /** How many rows the log has; what lies beyond on disk was never acknowledged. null: as many as can be read (damage). */
  size: index.nullable(),
  /** Rows from here on cannot reach the hub in this log and are recorded again in the open one; null when there are none. */
  salvage_from: index.nullable(),
  /** Ids of the rows from `salvage_from` on that were in the batch for which the hub closed the log; [] when it was for another reason. */
  refused: z.array(z.string().max(40)).max(BATCH_ROWS_MAX).default([]),
  /** Nothing is left to be shipped from here, and `salvage_from` is final: the hub has spoken, or cannot be asked. */
  settled: z.boolean(),
  /**
   * Where recording again stands. Rows below `next` are done; of the chunk at `next` those in `stored` are, and others may
   * stand in the log `into` (or a younger one) at or after `at`.
   */
  salvage: z
    .strictObject({
      next: index,
      into: z.string().max(LOG_ID_MAX),
      at: index,
      stored: z.array(index).max(CHUNK_ROWS_MAX),
      recorded: index,
      skipped: index,
    })
    .nullable(),
  /** The hub has every row, here or recorded again: only then may its rows be dropped. */
  drained: z.boolean(),
});

export type Closure = Readonly<z.infer<typeof schema>>;

export function encodeClosure(closure: Closure): Buffer {
  return Buffer.from(`${JSON.stringify(closure)}\n`);
}

/** Throws `corrupt`. */
export function decodeClosure(bytes: Uint8Array): Closure {
  const parsed = schema.safeParse(jsonIn(bytes));
  if (parsed.success) return parsed.data;
  throw new WeirError('corrupt', `the audit log's ${CLOSURE_FILE} is damaged`, { detail: { file: CLOSURE_FILE } });
}

/** The value of a small JSON file, undefined when it is none. */
export function jsonIn(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
