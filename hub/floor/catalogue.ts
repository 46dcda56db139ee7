// The text catalogue of a tree: what a person reads for each finding code. Codes are found in the syntax tree, so that a
// rule cannot emit one that nobody wrote words for, and words for no code do not linger.

import { z } from 'zod';
import { rulesSchema, type Rules } from '@weir/shared/bundle/layers.ts';
import type { SourceFile } from '../store/policy-store.ts';
import { asTerms, isTerm, walk, type Module, type Term } from './ast.ts';
import type { GateFinding } from './gate-finding.ts';

export type Texts = Rules['texts'];

const textsSchema = z.record(z.string().regex(/^[a-z][a-z0-9_]{0,79}$/), rulesSchema.shape.texts.valueType);

/** Reads `catalogue/*.json`: objects of code → {title, detail}. A code may be in one file only. */
export function readTexts(files: readonly SourceFile[]): {
  readonly texts: Texts;
  readonly findings: readonly GateFinding[];
} {
  const texts: Record<string, Texts[string]> = {};
  const findings: GateFinding[] = [];
  for (const { path, content } of files) {
    const object = (message: string): void => void findings.push({ gate: 'catalogue', file: path, line: 0, message });
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder().decode(content));
    } catch {
      object('not json');
      continue;
    }
    const parsed = textsSchema.safeParse(withoutSchema(json));
    if (!parsed.success) {
      for (const issue of parsed.error.issues) object(`${issue.path.join('.')}: ${issue.message}`);
      continue;
    }
    for (const [code, text] of Object.entries(parsed.data)) {
      if (Object.hasOwn(texts, code)) object(`${code} has a text already`);
      texts[code] = text;
    }
  }
  return { texts, findings };
}

/** Findings for codes without text, texts without code, and codes that are not literal. */
export function catalogueFindings(
  modules: readonly Module[],
  library: readonly Module[],
  texts: Texts,
): readonly GateFinding[] {
  const findings: GateFinding[] = [];
  const used = new Set<string>();
  const constructors = codeParameters([...library, ...modules]);
  for (const module of modules) {
    for (const rule of module.rules) {
      const parameters = new Set(asTerms(rule.head['args']).map((parameter) => String(parameter.value)));
      walk([rule.head, rule.body, rule.otherwise], (node) => {
        for (const code of codesIn(node, module, constructors)) {
          const line = code.location?.row ?? rule.line;
          if (code.type === 'var' && parameters.has(String(code.value))) continue; // a constructor's own parameter
          if (code.type !== 'string' || typeof code.value !== 'string') {
            findings.push({ gate: 'catalogue', file: module.file, line, message: 'a code is not a literal text' });
          } else {
            used.add(code.value);
            if (!Object.hasOwn(texts, code.value)) {
              const message = `code ${code.value} has no text in the catalogue`;
              findings.push({ gate: 'catalogue', file: module.file, line, message });
            }
          }
        }
      });
    }
  }
  for (const code of Object.keys(texts)) {
    if (!used.has(code)) findings.push({ gate: 'catalogue', file: '', line: 0, message: `no rule emits code ${code}` });
  }
  return findings;
}

/** Functions with a parameter called `code`, by `data` path: where a call puts the code. */
function codeParameters(modules: readonly Module[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const module of modules) {
    for (const rule of module.rules) {
      const index = asTerms(rule.head['args']).findIndex(({ type, value }) => type === 'var' && value === 'code');
      if (index >= 0) found.set([...module.package, rule.name].join('.'), index);
    }
  }
  return found;
}

function codesIn(
  node: Readonly<Record<string, unknown>>,
  module: Module,
  constructors: ReadonlyMap<string, number>,
): readonly Term[] {
  if (!isTerm(node) || !Array.isArray(node.value)) return [];
  if (node.type === 'object') {
    return (node.value as readonly unknown[])
      .map(asTerms)
      .filter(([key]) => key?.type === 'string' && key.value === 'code')
      .flatMap(([, value]) => (value === undefined ? [] : [value]));
  }
  if (node.type !== 'call') return [];
  const [operator, ...args] = asTerms(node.value);
  const index = operator === undefined ? undefined : constructors.get(dataPath(operator, module));
  const code = index === undefined ? undefined : args[index];
  return code === undefined ? [] : [code];
}

function dataPath(operator: Term, module: Module): string {
  const [head, ...rest] = (operator.type === 'ref' ? asTerms(operator.value) : [operator]).map(({ value }) =>
    String(value),
  );
  const imported = module.imports.find(({ alias }) => alias === head);
  if (head === 'data') return rest.join('.');
  if (imported !== undefined) return [...imported.path.slice(1).map(({ value }) => String(value)), ...rest].join('.');
  return [...module.package, head, ...rest].join('.');
}

/** A catalogue may name its schema; everything else in it is a text. */
function withoutSchema(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || !('schema' in json)) return json;
  const { schema: _schema, ...texts } = json;
  return 'texts' in texts ? texts.texts : texts;
}
