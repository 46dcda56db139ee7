// Rego's syntax tree as `opa parse --format json` prints it, with the few shapes that the static gates look at. OPA has
// parsed and checked the file before, so an unexpected shape is a fault of ours and throws.

import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface Term {
  readonly type: string;
  readonly value: unknown;
  readonly location?: { readonly row: number } | undefined;
}

export interface Import {
  readonly path: readonly Term[];
  /** Name under which the file refers to it. */
  readonly alias: string;
  readonly line: number;
}

export interface Rule {
  readonly name: string;
  readonly head: Readonly<Record<string, unknown>>;
  readonly body: readonly Expression[];
  readonly otherwise: Rule | undefined;
  readonly line: number;
}

/** One expression of a body, as printed: `terms`, `negated`, `with`. */
export type Expression = Readonly<Record<string, unknown>>;

export interface Module {
  readonly file: string;
  /** Without the leading `data`. */
  readonly package: readonly string[];
  readonly packageLine: number;
  readonly imports: readonly Import[];
  readonly rules: readonly Rule[];
}

const location = z.object({ row: z.int() });
const term = z.object({ type: z.string(), value: z.unknown(), location: location.optional() });
const ref = z.object({ type: z.string(), value: z.array(term) });
const moduleSchema = z.object({
  package: z.object({ location: location.optional(), path: z.array(term) }),
  imports: z
    .array(
      z.object({
        path: z.object({ type: z.string(), value: z.unknown() }),
        alias: z.string().optional(),
        location: location.optional(),
      }),
    )
    .default([]),
  rules: z.array(z.unknown()).default([]),
});
const ruleSchema = z.object({
  head: z.record(z.string(), z.unknown()),
  body: z.array(z.record(z.string(), z.unknown())).default([]),
  else: z.unknown().optional(),
  location: location.optional(),
});

export function readModule(file: string, json: unknown): Module {
  try {
    const module = moduleSchema.parse(json);
    return {
      file,
      package: module.package.path.slice(1).map((part) => z.string().parse(part.value)),
      packageLine: module.package.location?.row ?? 1,
      imports: module.imports.map(({ path, alias, location: at }) => {
        const terms = ref.parse(path).value;
        const last = terms.at(-1)?.value;
        return { path: terms, alias: alias ?? (typeof last === 'string' ? last : ''), line: at?.row ?? 0 };
      }),
      rules: module.rules.map(readRule),
    };
  } catch (cause) {
    throw new WeirError('internal', `the syntax tree of ${file} has an unknown shape`, { cause });
  }
}

function readRule(json: unknown): Rule {
  const rule = ruleSchema.parse(json);
  const name = asTerms(rule.head['ref'])[0]?.value ?? rule.head['name'];
  return {
    name: typeof name === 'string' ? name : '',
    head: rule.head,
    body: rule.body,
    otherwise: rule.else === undefined ? undefined : readRule(rule.else),
    line: rule.location?.row ?? 0,
  };
}

/** A list of terms, empty for anything else. */
export function asTerms(json: unknown): readonly Term[] {
  return Array.isArray(json) && json.every(isTerm) ? json : [];
}

export function isTerm(json: unknown): json is Term {
  return (
    typeof json === 'object' && json !== null && 'type' in json && typeof json.type === 'string' && 'value' in json
  );
}

/** Calls `visit` for every object inside `json`, parents first. */
export function walk(json: unknown, visit: (node: Readonly<Record<string, unknown>>) => void): void {
  if (Array.isArray(json)) {
    for (const item of json) walk(item, visit);
  } else if (typeof json === 'object' && json !== null) {
    const node = json as Readonly<Record<string, unknown>>;
    visit(node);
    for (const [key, value] of Object.entries(node)) if (key !== 'location') walk(value, visit);
  }
}
