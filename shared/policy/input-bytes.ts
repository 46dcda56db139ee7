// The input document as bytes. RFC 8785 by construction: the keys of the known shape are written in their sorted order,
// only names that arrive with the data (labels, evidence, values) are sorted here. A tenth of the cost of a general
// canonicaliser; test/property/policy holds the two byte-equal. Policies are only ever given what this file made.

import { WeirError } from '../errors/weir-error.ts';
import { type Digest, digestOf } from '../domain/digest.ts';
import type { SignalOutcome } from '../domain/evidence.ts';
import type { Json } from '../domain/json.ts';
import type { Candidate, PolicyInput } from './input.ts';

export const INPUT_LIMITS = {
  /** Candidates of one decision. */
  candidates: 50_000,
  /** UTF-8 bytes of the whole document. */
  bytes: 64 << 20,
  /** Nesting of values inside evidence. */
  depth: 16,
} as const;

/** Makes canonical bytes of text that is canonical JSON; set once below, so that no other file can. */
let ofText: (text: string) => CanonicalBytes;

/** Canonical JSON as UTF-8 bytes, made by `encodeInput` and `encodeJson` alone: what a policy may be given. */
export class CanonicalBytes {
  readonly #bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  static {
    ofText = (text) => new CanonicalBytes(Buffer.from(text, 'utf8'));
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Whether a value of run time is one of these, whatever its declared type. */
  static isCanonical(it: unknown): it is CanonicalBytes {
    return typeof it === 'object' && it !== null && #bytes in it;
  }
}

/** An encoded input, open to be cut into smaller documents that share everything but the candidates. */
export interface EncodedInput {
  /** The whole document. */
  readonly whole: CanonicalBytes;
  /** Digest of exactly those bytes. */
  readonly digest: Digest;
  /** Canonical text of each candidate, same order. */
  readonly candidates: readonly string[];
  /** A number for each candidate, counted from 0: the same for versions of one package with equal evidence and approvals. */
  readonly classes: readonly number[];
  /** The same document with only these candidate texts. */
  select(candidates: readonly string[]): CanonicalBytes;
}

/** @throws WeirError `invalid_argument` for what JSON cannot say, `too_large` beyond `INPUT_LIMITS` */
export function encodeInput(input: PolicyInput): EncodedInput {
  if (input.candidates.length > INPUT_LIMITS.candidates) {
    throw new WeirError('too_large', `a decision has more than ${INPUT_LIMITS.candidates} candidates`);
  }
  const { request, actor, unit, context } = input;
  const head =
    `{"actor":{"groups":${list(actor.groups)},"id":${quote(actor.id)},"kind":${quote(actor.kind)},` +
    `"mfa":${bool(actor.mfa)}},"candidates":[`;
  const tail =
    `],"context":{"mode":${quote(context.mode)},"now":${number(context.now)},` +
    `"staleness":${quote(context.staleness)}},"request":{"action":${quote(request.action)},` +
    `"client":${quote(request.client)},"ecosystem":${quote(request.ecosystem)},` +
    `"enforcement_point":${quote(request.enforcement_point)},"registry":${quote(request.registry)}},` +
    `"schema":${quote(input.schema)},"unit":{"environment":${quote(unit.environment)},` +
    `"labels":${value(unit.labels, 1)},"site":${quote(unit.site)},"unit":${quote(unit.unit)},` +
    `"workspace":${quote(unit.workspace)}}}`;
  const candidates: string[] = [];
  const classes: number[] = [];
  const classOf = classCounter();
  const names: Names = new Map();
  let characters = head.length + tail.length;
  for (const candidate of input.candidates) {
    const shared = `{"approvals":${list(candidate.approvals)},"evidence":${members(candidate.evidence, outcome, names)},`;
    const known = classOf(candidate.subject, shared);
    const text = `${known.text}"subject":${subject(candidate.subject)}}`;
    characters += text.length + 1;
    if (characters > INPUT_LIMITS.bytes) throw new WeirError('too_large', 'a decision has too large an input');
    candidates.push(text);
    classes.push(known.number);
  }
  const select = (texts: readonly string[]): CanonicalBytes => ofText(head + texts.join(',') + tail);
  const whole = select(candidates);
  return { whole, digest: digestOf(whole.bytes), candidates, classes, select };
}

interface Class {
  readonly number: number;
  /** One string for all of the class: equal pieces put together anew for each would be copied and compared for each. */
  readonly text: string;
}

function classCounter(): (subject: Candidate['subject'], text: string) => Class {
  const packages = new Map<string, Map<string, Class>>();
  let count = 0;
  return ({ namespace, name }, text) => {
    const key = `${quote(namespace)},${quote(name)}`;
    let classes = packages.get(key);
    if (classes === undefined) packages.set(key, (classes = new Map()));
    let found = classes.get(text);
    if (found === undefined) {
      classes.set(text, (found = { number: count, text }));
      count += 1;
    }
    return found;
  };
}

/** Any JSON value in canonical form, e.g. a layer's data or a stored input. Same errors as `encodeInput`. */
export function encodeJson(json: Json): CanonicalBytes {
  return ofText(value(json, 0));
}

function subject(of: Candidate['subject']): string {
  return (
    `{"digest":${quote(of.digest)},"name":${quote(of.name)},"namespace":${quote(of.namespace)},` +
    `"published_at":${of.published_at === null ? 'null' : number(of.published_at)},"purl":${quote(of.purl)},` +
    `"size":${of.size === null ? 'null' : number(of.size)},"version":${quote(of.version)}}`
  );
}

/** What most signals say of most subjects. */
const UNREMARKABLE = '{"reason":"","severity":"none","state":"clear","value":{}}';

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

function outcome(of: SignalOutcome): string {
  if (of.reason === '' && of.severity === 'none' && of.state === 'clear' && isEmpty(of.value)) return UNREMARKABLE;
  return (
    `{"reason":${quote(of.reason)},"severity":${quote(of.severity)},"state":${quote(of.state)},` +
    `"value":${value(of.value, 1)}}`
  );
}

/** Names that recur, each with the text it is written as. */
type Names = Map<string, string>;

/** An object whose keys are data: sorted by UTF-16 code units, as the standard asks. */
function members<T>(object: Readonly<Record<string, T>>, write: (of: T) => string, names?: Names): string {
  const keys = Object.keys(object);
  if (!isSorted(keys)) keys.sort();
  let text = '';
  for (const key of keys) {
    let name = names?.get(key);
    if (name === undefined) {
      name = `${quote(key)}:`;
      names?.set(key, name);
    }
    text += `${text === '' ? '{' : ','}${name}${write(object[key] as T)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

/** Sorting what is sorted already, as evidence and labels mostly are, costs more than looking. */
function isSorted(keys: readonly string[]): boolean {
  for (let i = 1; i < keys.length; i += 1) if ((keys[i - 1] as string) > (keys[i] as string)) return false;
  return true;
}

function list(of: readonly string[]): string {
  return of.length === 0 ? '[]' : `[${of.map(quote).join(',')}]`;
}

function value(of: unknown, depth: number): string {
  if (depth > INPUT_LIMITS.depth) throw new WeirError('too_large', 'a value is nested too deep');
  if (typeof of === 'string') return quote(of);
  if (typeof of === 'number') return number(of);
  if (typeof of === 'boolean') return bool(of);
  if (of === null) return 'null';
  if (Array.isArray(of)) return `[${of.map((item) => value(item, depth + 1)).join(',')}]`;
  if (typeof of === 'object') return members(of as Readonly<Record<string, unknown>>, (it) => value(it, depth + 1));
  throw new WeirError('invalid_argument', `a value of type ${typeof of} has no canonical json form`);
}

// eslint-disable-next-line no-control-regex -- control characters are what has to be found
const NEEDS_ESCAPE = /["\\\u0000-\u001F\uD800-\uDFFF]/;

function quote(text: string): string {
  if (typeof text !== 'string') throw new WeirError('invalid_argument', 'a text of the input is not a string');
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new WeirError('invalid_argument', 'a lone surrogate has no canonical json form');
  return JSON.stringify(text);
}

function number(of: number): string {
  if (!Number.isFinite(of)) throw new WeirError('invalid_argument', 'a number of the input is not finite');
  if (Math.abs(of) > Number.MAX_SAFE_INTEGER) {
    // Two engines may round it differently; sizes beyond it travel as text.
    throw new WeirError('invalid_argument', 'a number of the input is beyond 2^53');
  }
  return String(of);
}

function bool(of: boolean): string {
  if (typeof of !== 'boolean') throw new WeirError('invalid_argument', 'a flag of the input is not a boolean');
  return of ? 'true' : 'false';
}
