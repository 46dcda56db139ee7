// How far an export got, kept beside its output. It is written only after the bytes that it speaks of are durable, so an
// interrupted export goes on after the last recorded byte: what stands beyond is cut off, and no row is doubled or lost.

import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { EXPORT_FORMATS } from './formats.ts';

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const exportCursorSchema = z.strictObject({
  schema: z.literal('weir.export-cursor/v1'),
  format: z.enum(EXPORT_FORMATS),
  /** What is exported; see `ExportQuery.identity`. */
  query: z.string().max(16_384),
  /** Cursor of the first page that is not in the output. */
  position: z.string().max(4_096),
  rows: count,
  /** Bytes of the output: of the one file, or of all whole files together. */
  bytes: count,
  /** Whole files; 0 for formats of lines, which have one that grows. */
  files: count,
  /** Everything is in the output; all that is left is to remove this file. */
  done: z.boolean(),
});
export type ExportCursor = z.infer<typeof exportCursorSchema>;

export function encodeExportCursor(cursor: ExportCursor): string {
  return `${JSON.stringify(cursor)}\n`;
}

/** @throws WeirError `corrupt` when the file is not one of ours */
export function decodeExportCursor(text: string): ExportCursor {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notOurs(cause);
  }
  const parsed = exportCursorSchema.safeParse(value);
  if (!parsed.success) throw notOurs(parsed.error);
  return parsed.data;
}

function notOurs(cause: unknown): WeirError {
  return new WeirError('corrupt', 'the cursor file beside the export cannot be read', {
    cause,
    next: 'remove it and the output, and export again',
  });
}
