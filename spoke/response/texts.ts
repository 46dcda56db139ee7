// Sentences for people: fills the signed text catalogue with a finding's facts and the subject. Rego never writes text,
// so an overlay can choose which sentence is said and with which values, and nothing else.

import type { Rules } from '@weir/shared/bundle/layers.ts';
import { fullName, type PackageName, purl } from '@weir/shared/domain/coordinate.ts';
import type { Json, JsonObject } from '@weir/shared/domain/json.ts';
import { asciiLine, printableLine } from './sanitise.ts';

export const TITLE_CHARS_MAX = 60;
export const DETAIL_CHARS_MAX = 600;
const VALUE_CHARS_MAX = 120;
const LIST_VALUES_MAX = 8;
const PLACEHOLDER = /\{([a-z][a-z0-9_]*)\}/g;

export interface Text {
  /** Printable ASCII, ≤ 60 characters: it also goes into the reason phrase. */
  readonly title: string;
  readonly detail: string;
}

/** What is spoken of; a package without a version where none is known. */
export type Subject = PackageName & { readonly version: string };

/**
 * The text of one reason. Falls back to the rule's own title when the catalogue has no such code, so that a refusal is
 * never without words. Placeholders `{name}`, `{version}`, `{subject}` and `{purl}` are the subject's and cannot be
 * overridden by facts; a placeholder without a value reads `unknown`.
 */
export function renderText(rules: Rules, reason: TextSource, subject: Subject): Text {
  const template = Object.hasOwn(rules.texts, reason.code) ? rules.texts[reason.code] : undefined;
  const rule = rules.rules.find((candidate) => candidate.id === reason.rule);
  const values = subjectValues(subject);
  const title = template?.title ?? rule?.title ?? 'Refused by policy';
  const detail = template?.detail ?? rule?.description ?? 'A policy of this unit refuses it.';
  return {
    title: asciiLine(fill(title, reason.facts, values), TITLE_CHARS_MAX),
    detail: sentence(printableLine(fill(detail, reason.facts, values), DETAIL_CHARS_MAX)),
  };
}

export interface TextSource {
  readonly rule: string;
  readonly code: string;
  readonly facts: JsonObject;
}

/** Fills `{placeholders}`; values are sanitised one by one, so that none can end the sentence it stands in. */
export function fill(template: string, facts: JsonObject, fixed: Readonly<Record<string, string>>): string {
  return template.replaceAll(PLACEHOLDER, (_, key: string) => {
    if (Object.hasOwn(fixed, key)) return fixed[key] ?? '';
    return Object.hasOwn(facts, key) ? valueText(key, facts[key] ?? null) : 'unknown';
  });
}

function subjectValues(subject: Subject): Readonly<Record<string, string>> {
  const name = printableLine(fullName(subject), VALUE_CHARS_MAX);
  const version = printableLine(subject.version, VALUE_CHARS_MAX);
  return {
    name,
    version: version === '' ? 'unknown' : version,
    subject: version === '' ? name : `${name}@${version}`,
    ecosystem: subject.ecosystem,
    purl: printableLine(purl(subject), VALUE_CHARS_MAX * 2),
  };
}

/** Numbers with at most one decimal; whole numbers under a key that ends in `_at` are unix seconds and read as a time. */
function valueText(key: string, value: Json): string {
  if (typeof value === 'number') {
    if (key.endsWith('_at') && Number.isSafeInteger(value) && value > 0 && value < 1e11) return utcMinute(value);
    return String(Math.round(value * 10) / 10);
  }
  if (typeof value === 'string') return value === '' ? 'none' : printableLine(value, VALUE_CHARS_MAX);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) {
    const shown = value.slice(0, LIST_VALUES_MAX).map((item: Json) => valueText('', item));
    if (value.length > LIST_VALUES_MAX) shown.push(`${value.length - LIST_VALUES_MAX} more`);
    return shown.length === 0 ? 'none' : shown.join(', ');
  }
  return 'unknown';
}

/** Unix seconds as `2026-11-22 05:11 UTC`. */
export function utcMinute(unixSeconds: number): string {
  return `${new Date(unixSeconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
