// The rules of a tree, read from METADATA: what becomes the signed `rules` layer. Incomplete METADATA is a finding at the
// comment's line, because a rule without an owner, a level or a way out helps nobody whom it stops.

import { z } from 'zod';
import { ruleSchema } from '@weir/shared/bundle/layers.ts';
import { rank } from '@weir/shared/domain/level.ts';
import type { RuleMeta } from '@weir/shared/domain/rule.ts';
import { sourcePath, type GateFinding } from './gate-finding.ts';

const inspectSchema = z.object({
  annotations: z
    .array(
      z.object({
        annotations: z.object({
          scope: z.string().optional(),
          title: z.string().optional(),
          description: z.string().optional(),
          entrypoint: z.boolean().optional(),
          custom: z.record(z.string(), z.unknown()).optional(),
        }),
        location: z.object({ file: z.string(), row: z.int() }),
        path: z.array(z.object({ value: z.unknown() })),
      }),
    )
    .nullish(),
});

/** Ids of overlay rules begin so, and no others: the two layers can never claim one id. */
export const OVERLAY_RULE_PREFIX = 'WEIR-OV-';

export interface RuleMetadata {
  readonly rules: readonly RuleMeta[];
  /** `data` paths, without `data`, that are annotated as entrypoints. */
  readonly entrypoints: readonly { readonly path: string; readonly file: string; readonly line: number }[];
  /** Files in which rules are described. */
  readonly files: readonly string[];
  readonly findings: readonly GateFinding[];
}

/** @param json what `opa inspect -a -f json` prints · @param folder where the tree lies for OPA */
export function readRuleMetadata(json: unknown, layer: 'floor' | 'overlay', folder: string): RuleMetadata {
  const annotations = inspectSchema.parse(json).annotations ?? [];
  const rules: RuleMeta[] = [];
  const entrypoints: { path: string; file: string; line: number }[] = [];
  const findings: GateFinding[] = [];
  const files = new Set<string>();
  const lines = new Map<string, string>();
  for (const { annotations: annotation, location, path } of annotations) {
    const file = sourcePath(location.file, folder);
    // Annotations of the library that a tree is compiled with were judged when the library was published.
    if (!location.file.replace(/^\.?\//, '').startsWith(`${folder}/`)) continue;
    const at = { file, line: location.row };
    if (annotation.entrypoint === true) {
      entrypoints.push({
        path: path
          .slice(1)
          .map((part) => String(part.value))
          .join('/'),
        ...at,
      });
    }
    const custom = annotation.custom;
    if (custom?.['id'] === undefined) continue;
    files.add(file);
    const parsed = ruleSchema.safeParse({
      id: custom['id'],
      version: custom['version'],
      layer,
      title: annotation.title,
      description: annotation.description?.trim(),
      level: custom['level'],
      override: custom['override'],
      min_level: custom['min_level'],
      max_exception_days: custom['max_exception_days'],
      effect: custom['effect'],
      solution: typeof custom['solution'] === 'string' ? custom['solution'].trim() : undefined,
    });
    if (!parsed.success) {
      for (const issue of parsed.error.issues) {
        findings.push({ gate: 'metadata', ...at, message: `METADATA ${issue.path.join('.')}: ${issue.message}` });
      }
      continue;
    }
    const rule = parsed.data;
    for (const message of ruleFaults(rule, layer)) findings.push({ gate: 'metadata', ...at, message });
    const known = lines.get(rule.id);
    if (known !== undefined)
      findings.push({ gate: 'metadata', ...at, message: `${rule.id} is also the id of ${known}` });
    lines.set(rule.id, `${file}:${location.row}`);
    rules.push(rule);
  }
  const sorted = rules.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return { rules: sorted, entrypoints, files: [...files], findings };
}

function ruleFaults(rule: RuleMeta, layer: 'floor' | 'overlay'): readonly string[] {
  const faults: string[] = [];
  if (rule.id.startsWith(OVERLAY_RULE_PREFIX) !== (layer === 'overlay')) {
    faults.push(`ids of overlay rules, and only those, begin with ${OVERLAY_RULE_PREFIX}`);
  }
  if (rank(rule.min_level) > rank(rule.level)) faults.push('min_level is above level');
  for (const field of ['title', 'description', 'solution'] as const) {
    if (rule[field].trim() === '') faults.push(`METADATA ${field} is empty`);
  }
  return faults;
}
