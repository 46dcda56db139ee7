// Reads what a layer answered, strictly: the agreed shape and nothing else. There is no field by which a layer could lower
// a level, take back another layer's finding or name the host's rules; an unknown field fails the whole answer.

import { FACTS_DEPTH_MAX } from '../audit/row-schema.ts';
import { canonicalJson } from '../crypto/canonical-json.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Finding } from '../domain/verdict.ts';
import { HOST_RULE_PREFIX } from './host-reasons.ts';
import { INPUT_SCHEMA } from './input.ts';
import { type LayerAnswer, type LayerFailed, failed } from './layer-answer.ts';

export const OUTPUT_LIMITS = {
  /** Findings per candidate of the input. */
  findingsPerCandidate: 64,
  /** Characters of one finding's facts as JSON. */
  factsCharacters: 2048,
  factKeys: 32,
  /** Nesting inside facts, as far as an audit row takes it: what could not be recorded must not become a verdict. */
  factsDepth: FACTS_DEPTH_MAX,
} as const;

const RULE_ID = /^WEIR-[A-Z0-9]+(?:-[A-Z0-9]+)*-\d{3}$/;
const RULE_ID_MAX = 80;
const CODE = /^[a-z][a-z0-9_]{0,79}$/;
const FACT_KEY = /^[a-z][a-z0-9_]{0,39}$/;

/** OPA's text for a layer that saw a good input and found nothing: by far the most frequent answer. */
const NOTHING_FOUND = `[{"result":{"schema":"${INPUT_SCHEMA}","findings":[]}}]`;
const NONE: LayerAnswer = { ok: true, findings: [] };

/** @param text the result set as OPA dumps it · @param candidates length of the input's list */
export function decodeOutput(text: string, candidates: number): LayerAnswer {
  if (text === NOTHING_FOUND) return NONE;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return failed('bad_output', 'result is not json');
  }
  if (!Array.isArray(parsed) || parsed.length > 1) return failed('bad_output', 'result set is not a list of one');
  if (parsed.length === 0) return failed('no_result', 'result is undefined');
  const [set] = parsed as readonly unknown[];
  if (!hasExactly(set, ['result'])) return failed('bad_output', 'result set has another shape');
  const output = set['result'];
  if (!isObject(output)) return failed('no_echo', 'result is not an object');
  if (output['schema'] !== INPUT_SCHEMA) return failed('no_echo', 'result does not repeat the schema of the input');
  if (!hasExactly(output, ['schema', 'findings'])) return failed('bad_output', 'result has unknown or missing fields');
  const list = output['findings'];
  if (!Array.isArray(list)) return failed('bad_output', 'findings is not a list');
  if (list.length > candidates * OUTPUT_LIMITS.findingsPerCandidate) {
    return failed('too_many_findings', `${list.length} findings for ${candidates} candidates`);
  }
  const findings: Finding[] = [];
  for (const item of list as readonly unknown[]) {
    const finding = readFinding(item, candidates);
    if ('failure' in finding) return finding;
    findings.push(finding);
  }
  return { ok: true, findings };
}

function readFinding(item: unknown, candidates: number): Finding | LayerFailed {
  if (!hasExactly(item, ['candidate', 'rule', 'level', 'code', 'facts'])) {
    return failed('bad_output', 'a finding has unknown or missing fields');
  }
  const { candidate, rule, level, code, facts } = item as Readonly<Record<keyof Finding, unknown>>;
  if (typeof candidate !== 'number' || !Number.isInteger(candidate) || candidate < 0 || candidate >= candidates) {
    return failed('bad_output', 'a finding names no candidate of the input');
  }
  if (typeof rule !== 'string' || rule.length > RULE_ID_MAX || !RULE_ID.test(rule)) {
    return failed('bad_output', 'a finding has no valid rule id');
  }
  if (rule.startsWith(HOST_RULE_PREFIX)) return failed('bad_output', 'a finding names a rule of the host');
  if (level !== 'warn' && level !== 'pending' && level !== 'deny') {
    return failed('bad_output', `a finding of ${rule} has no valid level`);
  }
  if (typeof code !== 'string' || !CODE.test(code))
    return failed('bad_output', `a finding of ${rule} has no valid code`);
  if (!isFacts(facts)) return failed('bad_output', `a finding of ${rule} has no valid facts`);
  return { candidate, rule, level, code, facts };
}

function isFacts(facts: unknown): facts is JsonObject {
  if (!isObject(facts)) return false;
  const keys = Object.keys(facts);
  if (keys.length > OUTPUT_LIMITS.factKeys || !keys.every((key) => FACT_KEY.test(key))) return false;
  if (isDeeper(facts, OUTPUT_LIMITS.factsDepth)) return false;
  try {
    return canonicalJson(facts).length <= OUTPUT_LIMITS.factsCharacters;
  } catch {
    return false;
  }
}

/** Whether lists and objects stand more than `levels` deep in each other, this one included. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasExactly(value: unknown, keys: readonly string[]): value is Readonly<Record<string, unknown>> {
  return isObject(value) && Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));
}
