// How spoke commands speak: JSON on request, tables for people, one sentence per error, exit codes that scripts can use.

import { asWeirError, type ErrorCode } from '@weir/shared/errors/weir-error.ts';

/** 0 done · 1 failed · 2 wrong use · 3 refused by policy or by an authority · 4 not found · 5 not reachable. */
export const EXIT = { ok: 0, failed: 1, usage: 2, refused: 3, notFound: 4, unreachable: 5 } as const;

const BY_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  invalid_argument: EXIT.usage,
  forbidden: EXIT.refused,
  unauthenticated: EXIT.refused,
  untrusted: EXIT.refused,
  conflict: EXIT.refused,
  not_found: EXIT.notFound,
  unavailable: EXIT.unreachable,
  timeout: EXIT.unreachable,
};

/** Runs a command's body; whatever it throws becomes a sentence on stderr and an exit code. */
export async function settle(json: boolean, body: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await body();
  } catch (thrown) {
    const error = asWeirError(thrown, 'internal', thrown instanceof Error ? thrown.message : String(thrown));
    if (json)
      process.stderr.write(
        `${JSON.stringify({ error: { code: error.code, message: error.message, next: error.next } })}\n`,
      );
    else {
      const next = error.next === '' ? '' : `\n      ${printable(error.next)}`;
      process.stderr.write(`weir: ${printable(error.message)}${next}\n`);
    }
    process.exitCode = BY_CODE[error.code] ?? EXIT.failed;
  }
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Rows of `name  value`, names padded. */
export function printFields(fields: readonly (readonly [string, string])[]): void {
  const width = Math.max(...fields.map(([name]) => name.length));
  for (const [name, value] of fields) process.stdout.write(`${name.padEnd(width)}  ${printable(value)}\n`);
}

/** Control characters but the line feed become visible: what a package is called must not drive a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, (character) =>
    character === '\n' ? character : `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}
