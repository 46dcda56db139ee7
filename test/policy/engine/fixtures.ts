// A small floor and overlay, rules, settings and inputs for tests of the engine. The real floor has its own tests under
// `policies/`; here a rule fires on a word in the evidence, so that a case says what it wants.

import type { Exceptions, Rules, Settings } from '@weir/shared/bundle/layers.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import type { Evidence } from '@weir/shared/domain/evidence.ts';
import type { Exception } from '@weir/shared/domain/exception.ts';
import type { RuleMeta } from '@weir/shared/domain/rule.ts';
import { type EngineOptions, type PolicyEngine, createEngine } from '@weir/shared/policy/engine.ts';
import { type Candidate, FLOOR_ENTRYPOINT, type PolicyInput, overlayEntrypoint } from '@weir/shared/policy/input.ts';
import { buildPolicy } from './opa.ts';

/** CPU time of this thread: tests that run side by side do not use up each other's deadlines. */
export const THREAD_TIME = {
  monotonicMs: (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
};

export const UNIT = 'payments';
export const OVERLAY_PACKAGE = 'weir.overlay.payments';
export const NOW = 1_800_000_000;
export const BUNDLE = digestOf('a bundle');

const FLOOR_SOURCE = `package weir.floor.main

result := {"schema": input.schema, "findings": findings} if input.schema == "weir.input/v1"

findings contains finding(i, "WEIR-TEST-001", "deny", "refused", {"name": c.subject.name}) if {
	some i, c in input.candidates
	c.evidence.word.value.text == "deny"
}

findings contains finding(i, "WEIR-TEST-002", "pending", "held", {}) if {
	some i, c in input.candidates
	c.evidence.word.value.text == "pending"
}

findings contains finding(i, "WEIR-TEST-003", "warn", "noted", {}) if {
	some i, c in input.candidates
	c.evidence.word.value.text == "warn"
}

findings contains finding(i, "WEIR-TEST-004", "deny", "forbidden", {}) if {
	some i, c in input.candidates
	c.evidence.word.value.text == "forbidden"
}

finding(i, rule, level, code, facts) := {"candidate": i, "rule": rule, "level": level, "code": code, "facts": facts}
`;

/** An overlay in the agreed package with these rules in its body. */
export function overlaySource(body: string): string {
  return `package ${OVERLAY_PACKAGE}\n\n${body}\n`;
}

/** An overlay that lists findings when \`text\` is a word in the evidence. */
export const STRICT_OVERLAY = overlaySource(`
result := {"schema": input.schema, "findings": findings}

findings contains {"candidate": i, "rule": "WEIR-OV-TEST-001", "level": "deny", "code": "unit_refused", "facts": {}} if {
	some i, c in input.candidates
	c.evidence.word.value.text == "strict"
}
`);

export function floorModule(): Uint8Array {
  return buildPolicy({ entrypoint: FLOOR_ENTRYPOINT, sources: { 'floor.rego': FLOOR_SOURCE } });
}

export function overlayModule(source: string, flags: readonly string[] = []): Uint8Array {
  return buildPolicy({ entrypoint: overlayEntrypoint(UNIT), sources: { 'overlay.rego': source }, flags });
}

export function rule(id: string, overrides: Partial<RuleMeta> = {}): RuleMeta {
  return {
    id,
    version: '1.0.0',
    layer: 'floor',
    title: id,
    description: '',
    level: 'deny',
    override: 'hub',
    min_level: 'allow',
    max_exception_days: 30,
    effect: 'refuse',
    solution: '',
    ...overrides,
  };
}

export const RULES: readonly RuleMeta[] = [
  rule('WEIR-TEST-001'),
  rule('WEIR-TEST-002', { level: 'pending' }),
  rule('WEIR-TEST-003', { level: 'warn', effect: 'warn' }),
  rule('WEIR-TEST-004', { override: 'none' }),
  rule('WEIR-OV-TEST-001', { layer: 'overlay', override: 'spoke' }),
];

export function rulesLayer(rules: readonly RuleMeta[] = RULES): Rules {
  return { schema: 'weir.rules/v1', rules: [...rules], texts: {} };
}

export function exceptionsLayer(exceptions: readonly Exception[] = []): Exceptions {
  return { schema: 'weir.exceptions/v1', exceptions: exceptions as Exceptions['exceptions'] };
}

export function exception(overrides: Partial<Exception> = {}): Exception {
  return {
    id: 'ex-1',
    rule: 'WEIR-TEST-001',
    rule_major: 1,
    subject: 'pkg:npm/left-pad@1.0.0',
    digest: '',
    to: 'allow',
    scope: { units: [] },
    not_before: NOW - 3600,
    expires: NOW + 3600,
    authority: 'hub',
    category: 'waiver',
    reason: 'needed',
    ticket: 'T-1',
    approvers: ['a', 'b'],
    ...overrides,
  };
}

export function settings(overrides: Partial<Settings> = {}): Settings {
  return {
    schema: 'weir.settings/v1',
    unit: UNIT,
    mode: 'block',
    anonymous: false,
    environment: 'production',
    labels: {},
    on_overlay_error: 'pending',
    staleness: { warn_s: 3600, restrict_s: 86_400, deny_s: 604_800 },
    internal_names: { npm: [], pypi: [] },
    policy: {
      cooldown_hours: 72,
      cooldown_exempt: { npm: [], pypi: [] },
      new_package_days: 30,
      install_scripts_allowed: { npm: [], pypi: [] },
      licences_denied: [],
      overlay: {},
    },
    ...overrides,
  };
}

export function word(text: string): Evidence {
  return { word: { state: 'hit', severity: 'low', value: { text }, reason: '' } };
}

export function candidate(text: string, overrides: Partial<Candidate['subject']> = {}): Candidate {
  const name = overrides.name ?? 'left-pad';
  const version = overrides.version ?? '1.0.0';
  return {
    subject: {
      purl: `pkg:npm/${name}@${version}`,
      namespace: '',
      name,
      version,
      digest: 'sha512:00',
      size: 1024,
      published_at: NOW - 365 * 86_400,
      ...overrides,
    },
    evidence: word(text),
    approvals: [],
  };
}

export function inputOf(...candidates: readonly Candidate[]): PolicyInput {
  return {
    schema: 'weir.input/v1',
    request: {
      action: 'install',
      enforcement_point: 'registry-proxy',
      ecosystem: 'npm',
      registry: 'npm',
      client: 'npm',
    },
    actor: { id: 'anonymous', kind: 'anonymous', groups: [], mfa: false },
    unit: { workspace: 'acme', unit: UNIT, site: 'here', environment: 'production', labels: {} },
    context: { now: NOW, staleness: 'fresh', mode: 'block' },
    candidates,
  };
}

export const WORDS = ['nothing', 'warn', 'pending', 'deny', 'forbidden', 'strict'] as const;

export async function engine(options: Partial<EngineOptions> = {}): Promise<PolicyEngine> {
  return createEngine({
    floor: floorModule(),
    overlay: null,
    rules: rulesLayer(),
    exceptions: exceptionsLayer(),
    settings: settings(),
    unit: UNIT,
    bundle: BUNDLE,
    readsVersion: true,
    clock: THREAD_TIME,
    ...options,
  });
}
