// What has to happen before a pending verdict can become an allow. The key names one question (this subject, these rules),
// so that every spoke and every retry asks for the same approval.

import { canonicalJson } from '../crypto/canonical-json.ts';
import { digestOf } from '../domain/digest.ts';
import type { Obligation, Reason } from '../domain/verdict.ts';
import type { Candidate } from './input.ts';
import { type RuleBook, majorOf } from './rule-book.ts';

const MIN_REVIEWERS = 1;

/** One approval over all rules that hold the subject; none when only the host does (staleness is not for approvers). */
export function obligationsOf(
  subject: Candidate['subject'],
  reasons: readonly Reason[],
  rules: RuleBook,
): readonly Obligation[] {
  const held = reasons.filter((reason) => reason.effective === 'pending' && reason.layer !== 'host');
  if (held.length === 0) return [];
  const names = held.map(({ layer, rule }) => {
    const meta = layer === 'host' ? undefined : rules.find(layer, rule);
    return meta === undefined ? rule : `${rule}@${majorOf(meta.version)}`;
  });
  const question = { digest: subject.digest, purl: subject.purl, rules: [...new Set(names)].toSorted() };
  return [{ kind: 'require_approval', key: digestOf(canonicalJson(question)), min_reviewers: MIN_REVIEWERS }];
}
