// Which route of the npm registry a request means. Everything that this file does not name is refused.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { RequestTarget, Route } from '../adapter.ts';
import { attestationsName, attestationsPath, readName, readVersion, VERSION_CHARS_MAX, versionOfFile } from './name.ts';

const ABBREVIATED = 'application/vnd.npm.install-v1+json';
const TAG_OR_RANGE = /^[\x20-\x7e]+$/;

export function match(target: RequestTarget): Route {
  const { segments, method } = target;
  if (segments.length > 0 && segments.at(-1) === '') return unparsable('a path of this registry has no trailing slash');
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') return writing(segments, method);
  if (segments.length === 0) return method === 'POST' ? unknown() : service('root');
  if (segments[0] === '-') return method === 'POST' ? posted(segments) : ownRoute(target);
  if (method === 'POST') return writing(segments, method);
  const subject = readSubject(segments);
  if (subject === undefined) return unparsable('the path names no package');
  return packageRoute(subject.name, subject.rest, target);
}

/** Tarballs at the root: npm asks for them when a lockfile or its settings lost the registry's path. */
export function matchAtRoot(target: RequestTarget): Route | undefined {
  if (target.method !== 'GET' && target.method !== 'HEAD') return undefined;
  if (target.segments.length < 3 || target.segments[0] === '-') return undefined;
  const subject = readSubject(target.segments);
  if (subject === undefined || subject.rest.length !== 2 || subject.rest[0] !== '-') return undefined;
  const route = packageRoute(subject.name, subject.rest, target);
  return route.kind === 'artifact' && route.coordinate.version !== '' ? route : undefined;
}

function packageRoute(name: PackageName, rest: readonly string[], target: RequestTarget): Route {
  const [first, second] = rest;
  if (first === undefined) {
    return { kind: 'metadata', name, representation: wantsAbbreviated(target.headers['accept']), detail: '' };
  }
  if (rest.length === 1) {
    if (first === '-' || first.length > VERSION_CHARS_MAX || !TAG_OR_RANGE.test(first) || first.includes('/')) {
      return unparsable('the path names no version');
    }
    return { kind: 'metadata', name, representation: 'version', detail: first };
  }
  if (rest.length === 2 && first === '-' && second !== undefined) return artifact(name, second);
  return unknown();
}

function artifact(name: PackageName, file: string): Route {
  if (file.includes('/')) return unparsable('the path names no file');
  if (!file.endsWith('.tgz')) return unknown();
  return { kind: 'artifact', coordinate: { ...name, version: versionOfFile(name, file) }, file };
}

/** Routes below `/-/` that are read. */
function ownRoute(target: RequestTarget): Route {
  const [, ...path] = target.segments;
  const [area, second, third] = path;
  if (path.length === 1 && (area === 'ping' || area === 'whoami')) return service(area);
  if (path.length === 2 && area === 'v1' && second === 'search') return service('search', target.query);
  if (path.length === 3 && area === 'npm' && second === 'v1' && third === 'keys') return service('keys');
  if (area === 'npm' && second === 'v1' && third === 'attestations') return attestations(path.slice(3));
  if (area === 'package' && path.at(-1) === 'dist-tags') {
    const subject = readSubject(path.slice(1, -1));
    if (subject === undefined || subject.rest.length > 0) return unparsable('the path names no package');
    return { kind: 'metadata', name: subject.name, representation: 'dist-tags', detail: '' };
  }
  return unknown();
}

function attestations(path: readonly string[]): Route {
  const text = path.join('/');
  const at = text.lastIndexOf('@');
  const name = at > 0 ? readName(text.slice(0, at)) : undefined;
  const version = text.slice(at + 1);
  if (name === undefined || path.length > 2 || readVersion(version) === undefined) {
    return unparsable('the path names no version of a package');
  }
  return {
    kind: 'sidecar',
    coordinate: { ...name, version },
    file: attestationsName(name, version),
    upstream: { path: attestationsPath(name, version), accept: 'application/json' },
  };
}

/** Routes below `/-/` that take a question in their body. */
function posted(segments: readonly string[]): Route {
  switch (segments.join('/')) {
    case '-/npm/v1/security/advisories/bulk':
      return service('advisories');
    case '-/npm/v1/security/audits':
    case '-/npm/v1/security/audits/quick':
      return service('audit');
    default:
      return writing(segments, 'POST');
  }
}

function writing(segments: readonly string[], method: string): Route {
  if (method !== 'PUT' && method !== 'POST' && method !== 'DELETE' && method !== 'PATCH') {
    return { kind: 'refused', reason: 'method', detail: 'this registry answers GET, HEAD and a few POST requests' };
  }
  const [first, second, third] = segments;
  if (first === '-' && (second === 'user' || (second === 'v1' && third === 'login'))) {
    return {
      kind: 'refused',
      reason: 'unknown_route',
      detail: 'sign-in through the client is not offered here: set a token as _authToken instead',
    };
  }
  return {
    kind: 'refused',
    reason: 'publish',
    detail: 'publishing, unpublishing and changing packages is not done through this registry',
  };
}

/** Name (in either encoding of its scope) and what follows it. */
function readSubject(segments: readonly string[]): { name: PackageName; rest: readonly string[] } | undefined {
  const [first, second] = segments;
  if (first === undefined) return undefined;
  if (first.startsWith('@') && !first.includes('/')) {
    const name = second === undefined || second.includes('/') ? undefined : readName(`${first}/${second}`);
    return name === undefined ? undefined : { name, rest: segments.slice(2) };
  }
  const name = readName(first);
  return name === undefined ? undefined : { name, rest: segments.slice(1) };
}

/** The abbreviated form when the client names it and does not like plain JSON better. */
function wantsAbbreviated(accept: string | undefined): 'full' | 'abbreviated' {
  if (accept === undefined || !accept.includes(ABBREVIATED)) return 'full';
  let abbreviated = 0;
  let full = 0;
  for (const part of accept.split(',')) {
    const [type, ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    if (type === ABBREVIATED) abbreviated = Math.max(abbreviated, quality(parameters));
    else if (type === 'application/json') full = Math.max(full, quality(parameters));
  }
  return abbreviated > 0 && abbreviated >= full ? 'abbreviated' : 'full';
}

function quality(parameters: readonly string[]): number {
  const found = parameters.find((parameter) => parameter.startsWith('q='));
  if (found === undefined) return 1;
  const value = Number(found.slice(2));
  return value >= 0 && value <= 1 ? value : 0;
}

function service(name: string, detail = ''): Route {
  return { kind: 'service', service: name, detail };
}

function unknown(): Route {
  return { kind: 'refused', reason: 'unknown_route', detail: 'this registry has no such route' };
}

function unparsable(detail: string): Route {
  return { kind: 'refused', reason: 'unparsable', detail };
}
