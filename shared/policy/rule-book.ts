// The signed rules layer as a look-up by layer and rule id. A finding of a rule that its own layer does not declare keeps
// its level and cannot be lowered: an unsigned rule has no exceptions, and an overlay cannot borrow a floor rule's id.

import type { RuleMeta } from '../domain/rule.ts';

export interface RuleBook {
  /** undefined when the rules layer does not list this id for this layer. */
  find(layer: 'floor' | 'overlay', id: string): RuleMeta | undefined;
  /** The rule of this id in whichever layer declares it; ids are unique over both. */
  byId(id: string): RuleMeta | undefined;
}

/** When an id is listed more than once, the floor's entry counts. */
export function ruleBook(rules: readonly RuleMeta[]): RuleBook {
  const byId = new Map<string, RuleMeta>();
  for (const rule of rules) {
    const known = byId.get(rule.id);
    if (known === undefined || (known.layer === 'overlay' && rule.layer === 'floor')) byId.set(rule.id, rule);
  }
  return {
    find: (layer, id) => {
      const rule = byId.get(id);
      return rule?.layer === layer ? rule : undefined;
    },
    byId: (id) => byId.get(id),
  };
}

/** Major of a semantic version `1.2.3`. */
export function majorOf(version: string): number {
  return Number(version.slice(0, version.indexOf('.')));
}
