// Reads a raw request into a target and its route: limits, strict decoding, choice of the registry mount. Total: it never
// throws, and whatever cannot be read in exactly one way is a `refused` route, never a pass-through.

import type { Adapter, RequestTarget, Route } from '../registries/adapter.ts';
import { decodePath } from './decode-path.ts';
import { readHeaders } from './read-headers.ts';
import { REQUEST_LIMITS } from './limits.ts';

export interface RawRequest {
  readonly method: string;
  /** The request target as received. */
  readonly url: string;
  /** Names and values in turn, as received (node's `rawHeaders`). */
  readonly rawHeaders: readonly string[];
}

export interface ParsedTarget {
  /** Whose dialect the answer speaks; undefined when the path names no registry, and then the route is `refused`. */
  readonly adapter: Adapter | undefined;
  /** Path, segments and query are empty when they could not be read; headers are there as far as they could. */
  readonly target: RequestTarget;
  readonly route: Route;
}

const METHOD = /^[A-Z]+$/;
const QUERY = /^[\x21\x24-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]*$/;

/** @param adapters mounts are distinct; the first adapter that knows a root-level path takes it */
export function parseTarget(request: RawRequest, adapters: readonly Adapter[]): ParsedTarget {
  const { headers, why } = readHeaders(request.rawHeaders);
  const refuse = (detail: string, adapter?: Adapter): ParsedTarget => ({
    adapter,
    target: { method: readMethod(request.method), path: '', segments: [], query: '', headers },
    route: { kind: 'refused', reason: 'unparsable', detail },
  });

  if (request.url.length > REQUEST_LIMITS.urlBytes) return refuse('the address is too long');
  const question = request.url.indexOf('?');
  const path = question === -1 ? request.url : request.url.slice(0, question);
  const query = question === -1 ? '' : request.url.slice(question + 1);
  const adapter = mountOf(path, adapters);
  if (why !== '') return refuse(why, adapter);
  const method = readMethod(request.method);
  if (method === '') return refuse('the method is not a word', adapter);
  if (query.length > REQUEST_LIMITS.queryBytes) return refuse('the query is too long', adapter);
  if (!QUERY.test(query)) return refuse('the query has a character that must be percent-encoded', adapter);
  const decoded = decodePath(path);
  if (!decoded.ok) return refuse(decoded.why, adapter);

  const whole: RequestTarget = { method, path, segments: decoded.segments, query, headers };
  if (adapter === undefined) return matchRoot(whole, adapters);
  const target: RequestTarget = {
    method,
    path: path.length === adapter.mount.length + 1 ? '/' : path.slice(adapter.mount.length + 1),
    segments: inner(decoded.segments),
    query,
    headers,
  };
  const route = adapter.match(target);
  if (route.kind === 'refused' && route.reason === 'unknown_route') {
    // A package may be called like a mount: `/npm/-/npm-1.0.0.tgz` at the root is the package `npm`.
    const atRoot = matchRoot(whole, adapters);
    if (atRoot.route.kind !== 'refused') return atRoot;
  }
  return { adapter, target, route };
}

/** The mount is compared in its raw spelling: an encoded mount is no mount. */
function mountOf(path: string, adapters: readonly Adapter[]): Adapter | undefined {
  const end = path.indexOf('/', 1);
  const first = path.slice(1, end === -1 ? path.length : end);
  return adapters.find((adapter) => adapter.mount === first);
}

function matchRoot(target: RequestTarget, adapters: readonly Adapter[]): ParsedTarget {
  for (const adapter of adapters) {
    const route = adapter.matchAtRoot?.(target);
    if (route !== undefined) return { adapter, target, route };
  }
  const mounts = adapters.map((adapter) => `/${adapter.mount}/`).join(' and ');
  return {
    adapter: undefined,
    target,
    route: { kind: 'refused', reason: 'unknown_route', detail: `registries are served below ${mounts}` },
  };
}

/** Segments below the mount; `/npm/` is the mount itself, as `/npm` is. */
function inner(segments: readonly string[]): readonly string[] {
  const rest = segments.slice(1);
  return rest.length === 1 && rest[0] === '' ? [] : rest;
}

function readMethod(method: string): string {
  return method.length <= REQUEST_LIMITS.methodChars && METHOD.test(method) ? method : '';
}
