// The documents behind the shipped self-test vectors. Evidence starts as the signals themselves give it for a quiet
// package, so that vectors cannot drift from what a spoke really sends; each vector then changes what it is about.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import { type Candidate, INPUT_SCHEMA, type PolicyInput } from '@weir/shared/policy/input.ts';
import { evaluateNameSignals, evaluateSignals } from '@weir/spoke/evidence/findings.ts';
import { AT, facts, settingsWith } from '@weir/spoke/evidence/signals/facts-for-tests.ts';
import { hit, unknown } from '@weir/spoke/evidence/signals/outcome.ts';

export interface Vector {
  readonly name: string;
  readonly input: PolicyInput;
}

export const VECTOR_SETTINGS: Settings = settingsWith(
  {
    cooldown_exempt: { npm: ['calm-lake'], pypi: [] },
    licences_denied: ['AGPL-*'],
    overlay: {
      licences_refused: ['AGPL-3.0-only'],
      npm_scopes_approved: ['@known'],
      build_chain: ['quiet-river'],
    },
  },
  { npm: ['@corp/*'], pypi: [] },
);

type Change = Readonly<Record<string, SignalOutcome>>;

const QUIET = evaluateSignals(facts({ settings: VECTOR_SETTINGS }), AT);

function candidate(change: Change = {}, name = 'quiet-river', namespace = ''): Candidate {
  return {
    subject: { purl: '', namespace, name, version: '1.0.0', digest: '', size: null, published_at: null },
    evidence: { ...QUIET, ...change },
    approvals: [],
  };
}

export function inputOf(candidates: readonly Candidate[], ecosystem = 'npm'): PolicyInput {
  return {
    schema: INPUT_SCHEMA,
    request: {
      action: 'install',
      enforcement_point: 'registry-proxy',
      ecosystem,
      registry: ecosystem,
      client: 'other',
    },
    actor: { id: 'anonymous', kind: 'anonymous', groups: [], mfa: false },
    unit: { workspace: 'selftest', unit: 'payments', site: 'one', environment: 'test', labels: {} },
    context: { now: AT, staleness: 'fresh', mode: 'block' },
    candidates,
  };
}

function about(name: string, ...candidates: readonly Candidate[]): Vector {
  return { name, input: inputOf(candidates) };
}

function sees(name: string, signal: string, value: JsonObject): Vector {
  return about(name, candidate({ [signal]: hit('high', value) }));
}

function lacks(name: string, signal: string, reason: string): Vector {
  return about(name, candidate({ [signal]: unknown(reason) }));
}

const { known_malicious: _, ...WITHOUT_MALICIOUS_DATA } = QUIET;

export const FLOOR_VECTORS: readonly Vector[] = [
  about('a quiet package has no findings', candidate()),
  about('no candidates have no findings'),
  sees('known malicious', 'known_malicious', { id: 'MAL-1' }),
  sees('younger than the cooldown', 'age', { hours: 5 }),
  about('younger than the cooldown but exempt', candidate({ age: hit('medium', { hours: 5 }) }, 'calm-lake')),
  sees('a new package', 'new_package', { days: 2 }),
  sees('an established look-alike', 'typosquat_distance', { near: 'quick-river', distance: 2 }),
  about(
    'a new look-alike',
    candidate({
      new_package: hit('low', { days: 2 }),
      typosquat_distance: hit('medium', { near: 'quick-river', distance: 2 }),
    }),
  ),
  sees('an internal name', 'namespace_shadow', { pattern: '@corp/*' }),
  about('an internal name before upstream is asked', {
    ...candidate({}, 'x', '@corp'),
    evidence: evaluateNameSignals({ ecosystem: 'npm', namespace: '@corp', name: 'x' }, VECTOR_SETTINGS, AT),
  }),
  about('a public name before upstream is asked', {
    ...candidate(),
    evidence: evaluateNameSignals({ ecosystem: 'npm', namespace: '', name: 'quiet-river' }, VECTOR_SETTINGS, AT),
  }),
  sees('other bytes than promised', 'index_hash_mismatch', { algorithm: 'sha256' }),
  sees('an install script', 'install_script', { kinds: ['install', 'postinstall'] }),
  sees('yanked', 'withdrawn_state', { state: 'yanked' }),
  sees('quarantined', 'withdrawn_state', { state: 'quarantined' }),
  sees('a denied licence', 'licence', { kind: 'denied', licence: 'AGPL-3.0-only', ids: ['AGPL-3.0-only'] }),
  sees('an unreadable licence', 'licence', { kind: 'unrecognised' }),
  about(
    'a fresh trust downgrade',
    candidate({ age: hit('medium', { hours: 100 }), trust_downgrade: hit('high', { was: 'provenance', now: 'none' }) }),
  ),
  sees('an old trust downgrade', 'trust_downgrade', { was: 'trusted_publisher', now: 'none' }),
  lacks('no malicious-package data', 'known_malicious', 'not_in_bundle'),
  lacks('no publish time', 'age', 'publish_time_unknown'),
  lacks('no promised digest', 'index_hash_mismatch', 'digest_not_promised'),
  lacks('a failed signal', 'install_script', 'signal_failed'),
  about('evidence without an outcome', { ...candidate(), evidence: WITHOUT_MALICIOUS_DATA }),
  about('no evidence at all', { ...candidate(), evidence: {} }),
  about(
    'text from outside is only a fact',
    candidate({ known_malicious: hit('critical', { id: '\u001B[2J<b>{name}\u2028' }) }),
  ),
  about(
    'each candidate is judged alone',
    candidate(),
    candidate({ age: hit('medium', { hours: 1 }) }),
    candidate({
      known_malicious: hit('critical', { id: 'MAL-2' }),
      install_script: hit('medium', { kinds: ['prepare'] }),
    }),
  ),
];

export const OVERLAY_VECTORS: Readonly<Record<'example' | 'payments' | 'research', readonly Vector[]>> = {
  example: [
    about('a quiet package has no findings', candidate()),
    sees('an install script in the build chain', 'install_script', { kinds: ['install'] }),
    about(
      'an install script elsewhere',
      candidate({ install_script: hit('medium', { kinds: ['install'] }) }, 'calm-lake'),
    ),
  ],
  payments: [
    about('a quiet package has no findings', candidate()),
    sees('an install script', 'install_script', { kinds: ['install'] }),
    sees('a refused licence as one of two', 'licence', {
      licence: 'AGPL-3.0-only OR MIT',
      ids: ['AGPL-3.0-only', 'MIT'],
    }),
    about('an approved scope', candidate({}, 'x', '@known')),
    about('another scope', candidate({}, 'x', '@other')),
  ],
  research: [
    about('a quiet package has no findings', candidate()),
    sees('an install script alone', 'install_script', { kinds: ['install'] }),
    about(
      'a new package with an install script',
      candidate({ new_package: hit('low', { days: 2 }), install_script: hit('medium', { kinds: ['install'] }) }),
    ),
    sees('no licence', 'licence', { kind: 'missing' }),
  ],
};
