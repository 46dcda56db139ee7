// A floor and an overlay small enough to read in a test, complete enough to pass every gate: two floor rules, one overlay
// rule, library, texts, tests and self-test vectors. The real floor lives in `policies/`.

import type { SourceFile } from '@weir/hub/store/policy-store.ts';
import type { Intel, Settings } from '@weir/shared/bundle/layers.ts';
import type { Evidence } from '@weir/shared/domain/evidence.ts';
import type { Json, JsonObject } from '@weir/shared/domain/json.ts';
import type { PolicyInput } from '@weir/shared/policy/input.ts';

export type Tree = Readonly<Record<string, string>>;

export function files(tree: Tree): readonly SourceFile[] {
  return Object.entries(tree).map(([path, text]) => ({ path, content: new TextEncoder().encode(text) }));
}

export function settingsOf(unit: string, over: Partial<Settings> = {}): Settings {
  return {
    schema: 'weir.settings/v1',
    unit,
    mode: 'block',
    anonymous: true,
    environment: 'test',
    labels: {},
    on_overlay_error: 'deny',
    staleness: { warn_s: 3600, restrict_s: 7200, deny_s: 86_400 },
    internal_names: { npm: [], pypi: [] },
    policy: {
      cooldown_hours: 72,
      cooldown_exempt: { npm: [], pypi: [] },
      new_package_days: 30,
      install_scripts_allowed: { npm: [], pypi: [] },
      licences_denied: [],
      overlay: {},
    },
    ...over,
  };
}

export const INTEL: Intel = {
  schema: 'weir.intel/v1',
  malicious: { provenance: { source: 'test', licence: 'CC0-1.0', as_of: '2026-01-01' }, records: [] },
  popular: {
    provenance: { source: 'test', licence: 'CC0-1.0', as_of: '2026-01-01' },
    names: { npm: ['left-pad'], pypi: [] },
  },
  licences: { provenance: { source: 'test', licence: 'CC0-1.0', as_of: '2026-01-01' }, ids: ['MIT'] },
};

/** An input of one candidate with this evidence. */
export function inputOf(
  unit: string,
  evidence: JsonObject,
  over: Partial<PolicyInput['candidates'][number]['subject']> = {},
): PolicyInput {
  return {
    schema: 'weir.input/v1',
    request: {
      action: 'install',
      enforcement_point: 'registry-proxy',
      ecosystem: 'npm',
      registry: 'npm',
      client: 'npm',
    },
    actor: { id: 'a', kind: 'anonymous', groups: [], mfa: false },
    unit: { workspace: 'acme', unit, site: 'lab', environment: 'test', labels: {} },
    context: { now: 1_800_000_000, staleness: 'fresh', mode: 'block' },
    candidates: [
      {
        subject: {
          purl: 'pkg:npm/left-pad@1.0.0',
          namespace: '',
          name: 'left-pad',
          version: '1.0.0',
          digest: '',
          size: null,
          published_at: null,
          ...over,
        },
        evidence: evidence as unknown as Evidence,
        approvals: [],
      },
    ],
  };
}

export const YOUNG: JsonObject = { age: { state: 'clear', severity: 'none', value: { hours: 3 }, reason: '' } };
export const OLD: JsonObject = { age: { state: 'clear', severity: 'none', value: { hours: 300 }, reason: '' } };

const ruleMetadata = (id: string, level: string, extra = ''): string => `# METADATA
# title: A rule
# description: Says no.
# custom:
#   id: ${id}
#   version: 1.0.0
#   level: ${level}
#   override: hub
#   min_level: allow
#   max_exception_days: 30
#   effect: refuse
#   solution: Take another.
${extra}`;

const vector = (name: string, unit: string, evidence: JsonObject, findings: Json): JsonObject => ({
  name,
  input: inputOf(unit, evidence) as unknown as Json,
  output: { schema: 'weir.input/v1', findings },
});

const young = (over: JsonObject = {}): JsonObject => ({
  candidate: 0,
  rule: 'WEIR-AGE-001',
  level: 'deny',
  code: 'young',
  facts: { hours: 3 },
  ...over,
});

export const FLOOR: Tree = {
  'lib/finding.rego': `package weir.lib.finding

of(index, id, level, code, facts) := {
	"candidate": index,
	"rule": id,
	"level": level,
	"code": code,
	"facts": facts,
}
`,
  'main/main.rego': `package weir.floor.main

import data.weir.floor.age

result := {"schema": input.schema, "findings": sort(age.findings)} if input.schema == "weir.input/v1"
`,
  'main/main_test.rego': `package weir.floor.main_test

import data.weir.floor.main

test_echo if main.result.schema == "weir.input/v1" with input as {"schema": "weir.input/v1", "candidates": []}
`,
  'floor/age/age.rego': `${ruleMetadata('WEIR-AGE-001', 'deny')}package weir.floor.age

import data.weir.lib.finding

findings contains finding.of(i, "WEIR-AGE-001", "deny", "young", {"hours": hours}) if {
	some i, candidate in input.candidates
	hours := candidate.evidence.age.value.hours
	hours < data.settings.policy.cooldown_hours
}
`,
  'floor/age/age_test.rego': `package weir.floor.age_test

import data.weir.floor.age

_candidate := {"evidence": {"age": {"value": {"hours": 3}}}}

test_young if {
	count(age.findings) == 1 with input as {"candidates": [_candidate]}
		with data.settings as {"policy": {"cooldown_hours": 72}}
}

test_old_enough if {
	count(age.findings) == 0 with input as {"candidates": [_candidate]}
		with data.settings as {"policy": {"cooldown_hours": 2}}
}
`,
  'catalogue/floor.json': JSON.stringify({ young: { title: 'Too young', detail: 'It is {hours} hours old.' } }),
  'selftest/floor.json': JSON.stringify({
    schema: 'weir.selftest/v1',
    settings: settingsOf('payments'),
    vectors: [vector('young', 'payments', YOUNG, [young()]), vector('old', 'payments', OLD, [])],
  }),
};

export const OVERLAY: Tree = {
  'payments.rego': `package weir.overlay.payments

import data.weir.lib.finding

result := {"schema": input.schema, "findings": sort(findings)} if input.schema == "weir.input/v1"

${ruleMetadata('WEIR-OV-PAYMENTS-001', 'pending')}findings contains finding.of(i, "WEIR-OV-PAYMENTS-001", "pending", "payments_name", {"name": name}) if {
	some i, candidate in input.candidates
	name := candidate.subject.name
	name in data.settings.policy.overlay.held
}
`,
  'payments_test.rego': `package weir.overlay.payments_test

import data.weir.overlay.payments

_candidate := {"subject": {"name": "left-pad"}}

test_held if {
	count(payments.result.findings) == 1 with input as {"schema": "weir.input/v1", "candidates": [_candidate]}
		with data.settings as {"policy": {"overlay": {"held": ["left-pad"]}}}
}
`,
  'catalogue/payments.json': JSON.stringify({ payments_name: { title: 'Held', detail: '{name} is held.' } }),
};
