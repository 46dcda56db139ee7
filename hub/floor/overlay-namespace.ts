// What an overlay may name: packages under its own root, the shared library, the settings. It can neither see nor define
// anything of the floor, and it cannot replace its input with `with`. Layers are separate modules anyway; this makes an
// attempt an error with a line instead of a rule that silently does nothing.

import { asTerms, walk, type Module, type Term } from './ast.ts';
import type { GateFinding } from './gate-finding.ts';

/** Root of a unit's packages, as path segments. */
export function overlayRoot(unit: string): readonly string[] {
  return ['weir', 'overlay', unit.replaceAll('-', '_')];
}

export interface NamespaceRules {
  readonly unit: string;
  readonly floorRuleIds: ReadonlySet<string>;
}

export function namespaceFindings(
  module: Module,
  { isTest, rules }: { readonly isTest: boolean; readonly rules: NamespaceRules },
): readonly GateFinding[] {
  const root = overlayRoot(rules.unit);
  const findings: GateFinding[] = [];
  const object = (line: number, message: string): void =>
    void findings.push({ gate: 'namespace', file: module.file, line, message });

  if (!ownsPackage(module.package, root, isTest)) {
    object(module.packageLine, `package ${module.package.join('.')} is not ${root.join('.')} or below it`);
  }
  for (const { path, line } of module.imports) {
    const fault = refFault(path, root, isTest);
    if (fault !== undefined) object(line, fault);
  }
  /** Terms already judged as part of their ref. */
  const insideRef = new Set<object>();
  for (const rule of module.rules) {
    let line = rule.line;
    walk([rule.head, rule.body, rule.otherwise], (node) => {
      line = lineOf(node) ?? line;
      if (Array.isArray(node['with']) && node['with'].length > 0 && !isTest) {
        object(line, '`with` is for tests only');
      }
      if (node['type'] === 'ref') {
        const fault = refFault(asTerms(node['value']), root, isTest);
        if (fault !== undefined) object(line, fault);
      }
      if (node['type'] === 'var' && node['value'] === 'data' && !insideRef.has(node)) {
        object(line, 'data as a whole is out of reach');
      }
      if (node['type'] === 'string' && typeof node['value'] === 'string' && rules.floorRuleIds.has(node['value'])) {
        object(line, `${node['value']} is a rule of the floor`);
      }
      if (node['type'] === 'ref') for (const part of asTerms(node['value'])) insideRef.add(part);
    });
  }
  return findings;
}

function ownsPackage(path: readonly string[], root: readonly string[], isTest: boolean): boolean {
  const [first, second, own] = path;
  if (first !== root[0] || second !== root[1]) return false;
  return own === root[2] || (isTest && own === `${root[2]}_test`);
}

/** Why a reference is out of bounds; undefined for everything that does not begin with `data`, and for what is allowed. */
function refFault(terms: readonly Term[], root: readonly string[], isTest: boolean): string | undefined {
  const [head, ...rest] = terms;
  if (head?.type !== 'var' || head.value !== 'data') return undefined;
  const path: string[] = [];
  for (const part of rest) {
    if (part.type !== 'string' || typeof part.value !== 'string') break;
    path.push(part.value);
  }
  if (path[0] === 'settings') return undefined;
  if (path[0] === 'weir' && path[1] === 'lib') return undefined;
  if (path.length >= 3 && ownsPackage(path, root, isTest)) return undefined;
  return `data.${path.join('.')} is out of reach: an overlay sees its own packages, data.weir.lib and data.settings`;
}

function lineOf(node: Readonly<Record<string, unknown>>): number | undefined {
  const location = node['location'];
  return typeof location === 'object' && location !== null && 'row' in location && typeof location.row === 'number'
    ? location.row
    : undefined;
}
