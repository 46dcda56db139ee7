// Test results and line coverage as OPA prints them, read as findings. Coverage counts rules only: tests cover themselves.

import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SourceFile } from '../store/policy-store.ts';
import { opaFindings, sourcePath, type GateFinding } from './gate-finding.ts';
import type { OpaResult } from './opa.ts';

const testsSchema = z.array(
  z.object({
    name: z.string(),
    fail: z.boolean().optional(),
    skip: z.boolean().optional(),
    error: z.unknown().optional(),
    /** Cases of a table test, by name. */
    sub_results: z.record(z.string(), z.object({ fail: z.boolean().optional() })).optional(),
    location: z.object({ file: z.string(), row: z.int() }),
  }),
);

/** Findings for tests that fail, error or are skipped, and for a tree without tests. */
export function testFindings(result: OpaResult, sourceFolder: string): readonly GateFinding[] {
  const parsed = parse(testsSchema, result.stdout);
  if (parsed === undefined) return opaFindings('tests', result, sourceFolder);
  const findings: GateFinding[] = [];
  for (const { name, fail, skip, error, location, sub_results: cases } of parsed) {
    const what = error !== undefined ? 'ends in an error' : fail === true ? 'fails' : skip === true ? 'is skipped' : '';
    if (what === '') continue;
    const failing = Object.entries(cases ?? {}).flatMap(([label, one]) => (one.fail === true ? [label] : []));
    findings.push({
      gate: 'tests',
      file: sourcePath(location.file, sourceFolder),
      line: location.row,
      message: `${name} ${what}${failing.length === 0 ? '' : `: ${failing.join('; ').slice(0, 300)}`}`,
    });
  }
  if (parsed.length === 0) findings.push({ gate: 'tests', file: '', line: 0, message: 'there are no tests' });
  if (findings.length === 0 && result.status !== 0) return opaFindings('tests', result, sourceFolder);
  return findings;
}

const range = z.object({ start: z.object({ row: z.int() }), end: z.object({ row: z.int() }) });
const coverageSchema = z.object({
  files: z.record(
    z.string(),
    z.object({
      covered: z.array(range).nullish(),
      not_covered: z.array(range).nullish(),
    }),
  ),
});

export interface CoverageOptions {
  readonly sourceFolder: string;
  readonly rules: readonly SourceFile[];
  /** Percent. */
  readonly minimum: number;
}

/** Percent of coverable lines of the rules that tests reach, and when that is too little, the lines that they do not. */
export function coverageFindings(
  result: OpaResult,
  { sourceFolder, rules, minimum }: CoverageOptions,
): { readonly percent: number; readonly findings: readonly GateFinding[] } {
  const parsed = parse(coverageSchema, result.stdout);
  if (parsed === undefined)
    throw new WeirError('internal', 'opa printed no coverage', { internal: { stderr: result.stderr } });
  const own = new Set(rules.map(({ path }) => path));
  let covered = 0;
  let missed = 0;
  const findings: GateFinding[] = [];
  for (const [path, file] of Object.entries(parsed.files)) {
    const source = sourcePath(path, sourceFolder);
    if (!own.has(source)) continue;
    const missedRows = rowsOf(file.not_covered ?? []);
    covered += [...rowsOf(file.covered ?? [])].filter((row) => !missedRows.has(row)).length;
    missed += missedRows.size;
    for (const row of missedRows)
      findings.push({ gate: 'coverage', file: source, line: row, message: 'no test reaches this line' });
  }
  const lines = covered + missed;
  const percent = lines === 0 ? 0 : Math.floor((covered * 10_000) / lines) / 100;
  if (percent >= minimum) return { percent, findings: [] };
  return {
    percent,
    findings: [
      {
        gate: 'coverage',
        file: '',
        line: 0,
        message: `tests reach ${percent} % of the lines, ${minimum} % are asked for`,
      },
      ...findings,
    ],
  };
}

function rowsOf(ranges: readonly z.infer<typeof range>[]): Set<number> {
  const rows = new Set<number>();
  for (const { start, end } of ranges) for (let row = start.row; row <= end.row; row += 1) rows.add(row);
  return rows;
}

function parse<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
