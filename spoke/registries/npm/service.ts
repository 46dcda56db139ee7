// Answers of the npm registry that name no package to install. Ping, whoami and both audit endpoints are answered here;
// search and the registry's public keys are asked of upstream.

import { gunzipSync } from 'node:zlib';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { hash } from 'node:crypto';
import { type Coordinate, fullName } from '@weir/shared/domain/coordinate.ts';
import type { ClientReply, RefusedSubject, Route, ServiceAnswer, ServiceRequest } from '../adapter.ts';
import { SERVICE_BODY_BYTES_MAX } from '../adapter.ts';
import { type JsonRecord, own, record } from './facts.ts';
import { readName, readVersion } from './name.ts';

export const SERVICE_LIMITS = {
  /** Bytes of a request body once decompressed. */
  bodyBytes: 32 << 20,
  /** Package versions that one audit asks about. */
  subjects: 20_000,
  /** Nesting of the older audit's dependency tree. */
  depth: 64,
  searchResults: 250,
  searchTextChars: 400,
} as const;

const SEARCH_NUMBERS = ['size', 'from'] as const;
const SEARCH_WEIGHTS = ['quality', 'popularity', 'maintenance'] as const;

export function answerService(route: Extract<Route, { kind: 'service' }>, request: ServiceRequest): ServiceAnswer {
  switch (route.service) {
    case 'root':
    case 'ping':
      return { kind: 'reply', reply: json({}) };
    case 'whoami':
      return { kind: 'reply', reply: json({ username: request.actor }) };
    case 'keys':
      return { kind: 'forward', upstream: { path: '-/npm/v1/keys', accept: 'application/json' }, answer: untouched };
    case 'search':
      return search(route.detail, request);
    case 'advisories':
      return { kind: 'judge', subjects: bulkSubjects(readBody(request)), answer: bulkAnswer };
    case 'audit': {
      const subjects = treeSubjects(readBody(request));
      return { kind: 'judge', subjects, answer: (refused) => auditAnswer(refused, subjects.length) };
    }
    default:
      throw new WeirError('unsupported', 'this registry has no such service');
  }
}

/** Signed by the registry's keys or naming them: the bytes go through as they are. */
function untouched(body: Uint8Array): ClientReply {
  return reply(Buffer.from(body.buffer, body.byteOffset, body.byteLength), 'public, max-age=300');
}

/** Words that are the unit's own names would tell upstream about them, so such a search finds nothing instead. */
function search(query: string, request: ServiceRequest): ServiceAnswer {
  const asked = new URLSearchParams(query);
  const text = (asked.get('text') ?? '').slice(0, SERVICE_LIMITS.searchTextChars);
  if (text.trim() === '' || namesInternal(text, request)) return { kind: 'reply', reply: json(searchResult([], 0)) };
  const forwarded = new URLSearchParams({ text });
  for (const key of SEARCH_NUMBERS) {
    const value = asked.get(key);
    if (value !== null && /^\d{1,4}$/.test(value)) forwarded.set(key, value);
  }
  for (const key of SEARCH_WEIGHTS) {
    const value = asked.get(key);
    if (value !== null && /^\d(?:\.\d{1,6})?$/.test(value)) forwarded.set(key, value);
  }
  return {
    kind: 'forward',
    upstream: { path: `-/v1/search?${forwarded.toString()}`, accept: 'application/json' },
    answer: (body) => searchAnswer(body, request),
  };
}

function namesInternal(text: string, request: ServiceRequest): boolean {
  for (const word of text.split(/\s+/)) {
    const bare = word.replace(/^[a-z-]+:/, '');
    const candidates = [bare, bare.startsWith('@') ? `${bare.replace(/\/.*$/, '')}/x` : `@${bare}/x`];
    for (const candidate of candidates) {
      const name = readName(candidate);
      if (name !== undefined && request.isInternal(name)) return true;
    }
  }
  return false;
}

/** Upstream's hits without the unit's own names and without links into the upstream registry's site. */
function searchAnswer(body: Uint8Array, request: ServiceRequest): ClientReply {
  const found = parseJson(body, 'upstream_failed', 'the search answer is not JSON');
  const objects = own(found, 'objects');
  if (!Array.isArray(objects)) throw new WeirError('upstream_failed', 'the search answer has no list of packages');
  const hits: JsonRecord[] = [];
  for (const hit of objects.slice(0, SERVICE_LIMITS.searchResults)) {
    const object = record(hit);
    const about = record(own(object, 'package'));
    const text = own(about, 'name');
    const name = typeof text === 'string' ? readName(text) : undefined;
    if (about === undefined || name === undefined || request.isInternal(name)) continue;
    const { npm: _upstreamSite, ...links } = record(own(about, 'links')) ?? {};
    hits.push({ ...object, package: { ...about, links } });
  }
  const total = own(found, 'total');
  return json(searchResult(hits, typeof total === 'number' ? total : hits.length));
}

function searchResult(objects: readonly JsonRecord[], total: number): JsonRecord {
  return { objects, total };
}

function readBody(request: ServiceRequest): JsonRecord {
  return parseJson(inflate(request), 'unparsable', 'the audit request is not JSON');
}

function inflate(request: ServiceRequest): Uint8Array {
  if (request.body.byteLength > SERVICE_BODY_BYTES_MAX) throw bodyTooLarge();
  const encoding = request.target.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding === 'identity') return request.body;
  if (encoding !== 'gzip') throw new WeirError('unparsable', 'the request body has an encoding other than gzip');
  try {
    return gunzipSync(request.body, { maxOutputLength: SERVICE_LIMITS.bodyBytes });
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw bodyTooLarge();
    throw asWeirError(thrown, 'unparsable', 'the request body is not gzip');
  }
}

/** `{ name: [version, …], … }` */
function bulkSubjects(body: JsonRecord): Coordinate[] {
  const subjects: Coordinate[] = [];
  for (const [text, versions] of Object.entries(body)) {
    if (!Array.isArray(versions)) continue;
    for (const version of new Set<unknown>(versions)) add(subjects, text, version);
  }
  return subjects;
}

/** The lockfile-like tree of the older audit: `{ dependencies: { name: { version, dependencies } } }`. */
function treeSubjects(body: JsonRecord): Coordinate[] {
  const subjects: Coordinate[] = [];
  const seen = new Set<string>();
  const open: { readonly node: JsonRecord; readonly depth: number }[] = [{ node: body, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.depth > SERVICE_LIMITS.depth) throw new WeirError('unparsable', 'the audit request is nested too deeply');
    for (const [text, child] of Object.entries(record(own(next.node, 'dependencies')) ?? {})) {
      const node = record(child);
      if (node === undefined) continue;
      open.push({ node, depth: next.depth + 1 });
      const version = own(node, 'version');
      if (typeof version !== 'string' || seen.has(`${text}@${version}`)) continue;
      seen.add(`${text}@${version}`);
      add(subjects, text, version);
    }
  }
  return subjects;
}

/** Names and versions that are none (git addresses, file paths) are passed over: nothing here can judge them. */
function add(subjects: Coordinate[], text: string, version: unknown): void {
  const name = readName(text);
  if (name === undefined || typeof version !== 'string' || readVersion(version) === undefined) return;
  if (subjects.length >= SERVICE_LIMITS.subjects) {
    throw new WeirError('too_large', 'the audit request names too many packages', {
      detail: { limit: SERVICE_LIMITS.subjects },
    });
  }
  subjects.push({ ...name, version });
}

/** The bulk answer lists by package what this spoke refuses; `npm audit` prints title and address. */
function bulkAnswer(refused: readonly RefusedSubject[]): ClientReply {
  const byName = new Map<string, JsonRecord[]>();
  for (const subject of refused) {
    const name = fullName(subject.coordinate);
    const list = byName.get(name) ?? [];
    byName.set(name, list);
    list.push({
      id: advisoryId(subject),
      url: `urn:weir:rule:${subject.rule}`,
      title: `Refused here: ${subject.title} (${subject.rule})`,
      severity: 'high',
      vulnerable_versions: subject.coordinate.version,
      cwe: [],
      cvss: { score: 0, vectorString: null },
    });
  }
  return json(Object.fromEntries(byName));
}

function auditAnswer(refused: readonly RefusedSubject[], dependencies: number): ClientReply {
  const advisories = refused.map((subject): [string, JsonRecord] => {
    const id = advisoryId(subject);
    return [
      String(id),
      {
        id,
        title: `Refused here: ${subject.title} (${subject.rule})`,
        module_name: fullName(subject.coordinate),
        severity: 'high',
        url: `urn:weir:rule:${subject.rule}`,
        overview: subject.detail,
        recommendation: 'Use a version that is allowed here.',
        vulnerable_versions: subject.coordinate.version,
        patched_versions: '<0.0.0',
        findings: [{ version: subject.coordinate.version, paths: [fullName(subject.coordinate)] }],
        cves: [],
        cwe: [],
        access: 'public',
        metadata: null,
      },
    ];
  });
  return json({
    actions: [],
    advisories: Object.fromEntries(advisories),
    muted: [],
    metadata: {
      vulnerabilities: { info: 0, low: 0, moderate: 0, high: advisories.length, critical: 0 },
      dependencies,
      devDependencies: 0,
      optionalDependencies: 0,
      totalDependencies: dependencies,
    },
  });
}

/** Clients want a number that stays the same for the same finding: 31 bits of its digest. */
function advisoryId(subject: RefusedSubject): number {
  const text = `${subject.rule} ${fullName(subject.coordinate)}@${subject.coordinate.version}`;
  return Number.parseInt(hash('sha256', text, 'hex').slice(0, 8), 16) >>> 1;
}

function parseJson(body: Uint8Array, code: 'unparsable' | 'upstream_failed', message: string): JsonRecord {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch (thrown) {
    throw asWeirError(thrown, code, message);
  }
  const found = record(value);
  if (found === undefined) throw new WeirError(code, message);
  return found;
}

function bodyTooLarge(): WeirError {
  return new WeirError('too_large', 'the request body is too large', { detail: { limit: SERVICE_LIMITS.bodyBytes } });
}

function json(value: JsonRecord): ClientReply {
  return reply(Buffer.from(JSON.stringify(value)), 'no-store');
}

function reply(body: Buffer, cacheControl: string): ClientReply {
  return {
    status: 200,
    reasonPhrase: 'OK',
    headers: [
      ['content-type', 'application/json'],
      ['cache-control', cacheControl],
    ],
    body,
  };
}
