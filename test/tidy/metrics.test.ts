// Every metric that the code counts, sets or observes is declared for its side, with its kind and exactly its labels, and
// every declared one is used: a name that nobody declared would be dropped at run time, a label that nobody declared would throw.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HUB_METRICS, type MetricDeclaration, SPOKE_METRICS } from '@weir/shared/telemetry/metric-declarations.ts';
import { sources } from './sources.ts';

const KIND_OF = { count: 'counter', gauge: 'gauge', observe: 'histogram' } as const;
const USE = /\bmetrics\.(count|gauge|observe)\(\s*'([^']+)'/g;

interface Use {
  readonly where: string;
  readonly name: string;
  readonly kind: MetricDeclaration['kind'];
  /** Names in the label object, undefined when it is not written out at the call. */
  readonly labels: readonly string[] | undefined;
}

const sides = { hub: HUB_METRICS, spoke: SPOKE_METRICS } as const;

for (const [side, declared] of Object.entries(sides) as ['hub' | 'spoke', Record<string, MetricDeclaration>][]) {
  const uses = sources()
    .filter(({ path, isTest }) => path.startsWith(`${side}/`) && !isTest)
    .flatMap(({ path, text }) => usesIn(path, text));

  test(`every metric of the ${side} is declared with its kind and labels`, () => {
    assert.ok(uses.length > 10, 'the pattern finds the calls');
    const faults = uses.flatMap(({ where, name, kind, labels }) => {
      const found = declared[name];
      if (found === undefined) return [`${where}: ${name} is not declared`];
      if (found.kind !== kind) return [`${where}: ${name} is declared as a ${found.kind} and used as a ${kind}`];
      if (labels === undefined) return [`${where}: the labels of ${name} are not written out`];
      const [wanted, given] = [found.labels.toSorted().join(), labels.toSorted().join()];
      return wanted === given
        ? []
        : [`${where}: ${name} has the labels ${given || '(none)'}, declared: ${wanted || '(none)'}`];
    });
    assert.deepEqual(faults, []);
  });

  test(`every declared metric of the ${side} is used`, () => {
    const used = new Set(uses.map(({ name }) => name));
    assert.deepEqual(
      Object.keys(declared).filter((name) => !used.has(name)),
      [],
    );
  });

  test(`metrics of the ${side} are named by the rules of their kind`, () => {
    const faults = Object.entries(declared).filter(
      ([name, { kind }]) =>
        !/^weir_[a-z0-9_]+$/.test(name) ||
        (kind === 'counter') !== name.endsWith('_total') ||
        (kind === 'histogram' && !name.endsWith('_seconds')),
    );
    assert.deepEqual(faults, []);
  });
}

function usesIn(path: string, text: string): readonly Use[] {
  return [...text.matchAll(USE)].map((match) => {
    const [, call = 'count', name = ''] = match;
    const line = text.slice(0, match.index).split('\n').length;
    const kind = KIND_OF[call as keyof typeof KIND_OF];
    return { where: `${path}:${line}`, name, kind, labels: labelsOf(argumentsAt(text, match.index + match[0].length)) };
  });
}

/** The source text of the arguments after the name, up to the call's closing parenthesis. */
function argumentsAt(text: string, start: number): string {
  let depth = 1;
  let at = start;
  for (; at < text.length && depth > 0; at += 1) {
    const char = text[at];
    if (char === '(' || char === '{' || char === '[') depth += 1;
    if (char === ')' || char === '}' || char === ']') depth -= 1;
  }
  return text.slice(start, at - 1);
}

function labelsOf(args: string): readonly string[] | undefined {
  const braces = args.indexOf('{');
  // Without an object there are no labels, unless a variable stands for one as the last argument of a counter.
  if (braces === -1) return /^\s*,\s*labels\b/.test(args) ? undefined : [];
  const inside = args.slice(braces + 1, args.lastIndexOf('}'));
  return topLevelParts(inside).map((part) => /^\s*([a-z_]+)/i.exec(part)?.[1] ?? part);
}

function topLevelParts(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = '';
  for (const char of text) {
    if ('({['.includes(char)) depth += 1;
    if (')}]'.includes(char)) depth -= 1;
    if (char === ',' && depth === 0) {
      parts.push(current);
      current = '';
    } else {
      current += char;
    }
  }
  parts.push(current);
  return parts.filter((part) => part.trim() !== '');
}
