// Configuration from text and an environment record to one frozen, typed value: defaults, then the file, then the
// environment. Unknown keys are refused, every fault is named, and each value can say where it came from.

import type { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

export type Origin = 'file' | 'environment';

export interface ConfigSources {
  /** JSON text; undefined when there is no file. */
  readonly text: string | undefined;
  /** How the file is called in messages. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Environment variable → dotted path of the value that it sets. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface LoadedConfig<Value> {
  readonly value: Value;
  /** Dotted path → where it came from; everything else is a default. */
  readonly origins: ReadonlyMap<string, Origin>;
}

type Tree = Record<string, unknown>;

/** @throws WeirError `invalid_argument` naming every fault */
export function loadConfig<Schema extends z.ZodType>(
  schema: Schema,
  sources: ConfigSources,
): LoadedConfig<z.output<Schema>> {
  const origins = new Map<string, Origin>();
  const tree = readText(sources);
  for (const path of pathsOf(tree)) origins.set(path, 'file');
  for (const [variable, path] of Object.entries(sources.variables)) {
    const text = sources.env[variable];
    if (text === undefined || text === '') continue;
    setAt(tree, path.split('.'), readValue(text));
    origins.set(path, 'environment');
  }
  const parsed = schema.safeParse(tree);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => {
      const path = issue.path.join('.');
      const variable = Object.entries(sources.variables).find(([, at]) => at === path)?.[0];
      const from = variable !== undefined && origins.get(path) === 'environment' ? ` (from ${variable})` : '';
      return `${path === '' ? 'the document' : path}${from}: ${issue.message}`;
    });
    throw new WeirError('invalid_argument', `the configuration has faults: ${faults.join('; ')}`, {
      next: `correct ${sources.file} or the named environment variables`,
    });
  }
  return { value: freeze(parsed.data), origins };
}

function readText({ text, file }: ConfigSources): Tree {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WeirError('invalid_argument', `${file} is not JSON`, { cause, next: 'correct it or remove it' });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WeirError('invalid_argument', `${file} is not a JSON object`);
  }
  return structuredClone(value) as Tree;
}

/** Numbers and booleans as people write them in an environment; JSON where it begins like JSON; otherwise the text. */
function readValue(text: string): unknown {
  if (/^(?:-?\d+|true|false)$/.test(text) || /^[[{"]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text;
}

function setAt(tree: Tree, [key = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    tree[key] = value;
    return;
  }
  const below = tree[key];
  const next: Tree = typeof below === 'object' && below !== null ? (below as Tree) : {};
  tree[key] = next;
  setAt(next, rest, value);
}

function pathsOf(tree: Tree, prefix = ''): readonly string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? pathsOf(value as Tree, `${prefix}${key}.`)
      : [`${prefix}${key}`],
  );
}

function freeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) freeze(item);
    Object.freeze(value);
  }
  return value;
}
