// How hub commands speak: tables for people, JSON for scripts, and one sentence per error with what to do next.

import { once } from 'node:events';
import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';
import { readCallError } from '../io/admin-client.ts';
import { EXIT, exitStatus } from './exit-status.ts';

/** Runs a command's body and sets the exit status, also when it throws. */
export async function settle(json: boolean, body: () => Promise<number | void>): Promise<void> {
  try {
    process.exitCode = (await body()) ?? EXIT.done;
  } catch (thrown) {
    const error = readCallError(thrown);
    if (json) {
      process.stderr.write(
        `${JSON.stringify({ error: { code: error.code, message: error.message, next: error.next } })}\n`,
      );
    } else {
      const told = error.next === '' ? error.message : `${error.message}\n      ${error.next}`;
      process.stderr.write(`weir: ${told.split('\n').map(printable).join('\n')}\n`);
    }
    process.exitCode = exitStatus(error.code);
  }
}

/** A message as JSON with the field names of the proto; 64-bit integers are strings, as everywhere in protobuf JSON. */
export function messageJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): unknown {
  return toJson(schema, message, { useProtoFieldName: true, alwaysEmitImplicit: true });
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes to standard output at the speed of whoever reads it, so that a long result is never gathered in memory. */
export async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text) && !process.stdout.destroyed) {
    await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]);
  }
}

/** A remark beside the result. */
export function printNote(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Columns padded to their widest cell; the last one is not padded. Nothing is printed for no rows but the `empty` line. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[], empty: string): void {
  if (rows.length === 0) {
    printLine(empty);
    return;
  }
  const cells = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells) {
    printLine(
      row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  '),
    );
  }
}

/** Lines of `name  value`, names padded; empty values are left out. */
export function printFields(fields: readonly (readonly [string, string])[]): void {
  const shown = fields.filter(([, value]) => value !== '');
  const width = Math.max(...shown.map(([name]) => name.length));
  for (const [name, value] of shown) printLine(`${name.padEnd(width)}  ${printable(value)}`);
}

/** Control characters become visible: what a package is called must not drive a terminal. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}

/** RFC 3339 to the second, '-' for none. */
export function instant(ms: bigint | number): string {
  return Number(ms) === 0 ? '-' : new Date(Number(ms)).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** Enough of a digest to recognise it. */
export function shortDigest(digest: string | undefined): string {
  return digest === undefined || digest === '' ? '-' : digest.slice(0, 'sha256:'.length + 12);
}
