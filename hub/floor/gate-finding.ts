// What a gate objects to: which gate, where, and why, so that an author can go straight to the line.

import { z } from 'zod';
import type { OpaResult } from './opa.ts';

/** The gates in the order in which they run; all findings of the first gate that has any are reported together. */
export const GATES = [
  'source',
  'parse',
  'namespace',
  'check',
  'format',
  'tests',
  'coverage',
  'metadata',
  'catalogue',
  'build',
  'selftest',
] as const;
export type Gate = (typeof GATES)[number];

export interface GateFinding {
  readonly gate: Gate;
  /** Path in the submitted tree, '' when the tree as a whole is meant. */
  readonly file: string;
  /** From 1; 0 when the file as a whole is meant. */
  readonly line: number;
  readonly message: string;
}

/** More findings than this help nobody; the last one then says how many were left out. */
export const FINDINGS_MAX = 100;

export function limited(gate: Gate, findings: readonly GateFinding[]): readonly GateFinding[] {
  if (findings.length <= FINDINGS_MAX) return findings;
  const rest = findings.length - FINDINGS_MAX + 1;
  return [...findings.slice(0, FINDINGS_MAX - 1), { gate, file: '', line: 0, message: `and ${rest} more` }];
}

const opaErrors = z.object({
  errors: z.array(
    z.object({
      message: z.string(),
      location: z.object({ file: z.string(), row: z.int() }).optional(),
    }),
  ),
});

/** Findings of a failed OPA command: its JSON error list, or failing that the `file:row:` lines of its text. */
export function opaFindings(gate: Gate, result: OpaResult, sourceFolder: string): readonly GateFinding[] {
  for (const text of [result.stderr, result.stdout]) {
    const errors = readErrors(text);
    if (errors.length > 0) {
      return limited(
        gate,
        errors.map(({ message, location }) => ({
          gate,
          file: location === undefined ? '' : sourcePath(location.file, sourceFolder),
          line: location?.row ?? 0,
          message: oneLine(message),
        })),
      );
    }
  }
  return limited(gate, textFindings(gate, `${result.stderr}\n${result.stdout}`, sourceFolder));
}

/** The submitted path of a file that OPA names. */
export function sourcePath(path: string, sourceFolder: string): string {
  const plain = path.replace(/^\.?\//, '');
  return plain.startsWith(`${sourceFolder}/`) ? plain.slice(sourceFolder.length + 1) : plain;
}

function readErrors(text: string): readonly z.infer<typeof opaErrors>['errors'][number][] {
  try {
    const parsed = opaErrors.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.errors : [];
  } catch {
    return []; // text output: the caller reads its lines
  }
}

function textFindings(gate: Gate, text: string, sourceFolder: string): readonly GateFinding[] {
  const findings: GateFinding[] = [];
  for (const line of text.split('\n')) {
    const match = /([\w./-]+\.(?:rego|json)):(\d+): (.*)$/.exec(line);
    if (match === null) continue;
    const [, file = '', row = '0', message = ''] = match;
    findings.push({ gate, file: sourcePath(file, sourceFolder), line: Number(row), message: oneLine(message) });
  }
  if (findings.length > 0) return findings;
  const first = text.split('\n').find((line) => line.trim() !== '') ?? 'opa failed without saying why';
  return [{ gate, file: '', line: 0, message: oneLine(first) }];
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 500);
}
