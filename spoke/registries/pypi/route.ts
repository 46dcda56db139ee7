// Which request is what. Everything below the mount that is not named here is refused; nothing passes through.
//
//   /simple/                      index root (service)
//   /simple/<name>/               index page (metadata), other spellings of the name redirect to the normal one
//   /files/<name>/<file>          artifact; `<file>.metadata` is its sidecar
//   /pypi/<name>/json             the older JSON document, derived from the index page

import type { Coordinate } from '@weir/shared/domain/coordinate.ts';
import type { RequestTarget, Route } from '../adapter.ts';
import { chooseRepresentation } from './accept.ts';
import { readFileName } from './file-name.ts';
import { normalProject } from './names.ts';
import { isStandIn } from './stand-in.ts';

export const METADATA_SUFFIX = '.metadata';
/** File systems and archives end here; longer names are nobody's distribution. */
export const FILE_NAME_CHARS_MAX = 255;

/** Detached documents that some indexes keep beside a file; they carry no meaning once the file is judged here. */
const UNSERVED_SUFFIXES = ['.asc', '.sig', '.provenance', '.publish.attestation', '.sigstore', '.sigstore.json'];

export function match(target: RequestTarget): Route {
  if (target.method !== 'GET' && target.method !== 'HEAD') return matchWrite(target);
  const [area = '', name, ...rest] = target.segments;
  switch (area) {
    case 'simple':
      return matchSimple(target, name, rest);
    case 'files':
      return matchFile(name, rest);
    case 'pypi':
      return matchLegacy(name, rest);
    default:
      return refused('unknown_route', 'the index is under simple/ of this address');
  }
}

function matchSimple(target: RequestTarget, name: string | undefined, rest: readonly string[]): Route {
  if (name === undefined) return redirect('simple/', target);
  if (name === '' && rest.length === 0) {
    return {
      kind: 'service',
      service: 'index_root',
      detail: chooseRepresentation(target.headers['accept'], target.query),
    };
  }
  const normal = normalProject(name);
  if (normal === undefined) return refused('unparsable', 'this is not a valid project name');
  if (rest.length === 0) return redirect(`${normal}/`, target);
  if (rest.length > 1 || rest[0] !== '') return refused('unknown_route', 'an index page has nothing below it');
  if (normal !== name) return redirect(`../${normal}/`, target);
  return {
    kind: 'metadata',
    name: { ecosystem: 'pypi', namespace: '', name: normal },
    representation: chooseRepresentation(target.headers['accept'], target.query),
    detail: '',
  };
}

function matchFile(name: string | undefined, rest: readonly string[]): Route {
  const [file] = rest;
  if (name === undefined || file === undefined || file === '' || rest.length > 1) {
    return refused('unknown_route', 'files are at files/<project>/<file>');
  }
  if (normalProject(name) !== name) return refused('unparsable', 'this is not a project name in normal form');
  if (file.length > FILE_NAME_CHARS_MAX || file.includes('/'))
    return refused('unparsable', 'this is not a valid file name');
  if (UNSERVED_SUFFIXES.some((suffix) => file.endsWith(suffix))) {
    return refused('unknown_route', 'detached signatures and attestations are not served');
  }
  if (!file.endsWith(METADATA_SUFFIX)) return { kind: 'artifact', coordinate: coordinateOf(name, file), file };
  const artifact = file.slice(0, -METADATA_SUFFIX.length);
  return { kind: 'sidecar', coordinate: coordinateOf(name, artifact), file, upstream: null };
}

function matchLegacy(name: string | undefined, rest: readonly string[]): Route {
  const isDocument = rest[0] === 'json' && (rest.length === 1 || (rest.length === 2 && rest[1] === ''));
  if (name === undefined || !isDocument) {
    return refused('unknown_route', 'of the older JSON documents only pypi/<project>/json is served');
  }
  const normal = normalProject(name);
  if (normal === undefined) return refused('unparsable', 'this is not a valid project name');
  return {
    kind: 'metadata',
    name: { ecosystem: 'pypi', namespace: '', name: normal },
    representation: 'legacy-json',
    detail: '',
  };
}

/** Uploads go to the mount, to legacy/ or wherever the uploader was pointed; XML-RPC posts to pypi. */
function matchWrite(target: RequestTarget): Route {
  const [area, name] = target.segments;
  if (area === 'pypi' && target.method === 'POST') {
    return refused('unknown_route', 'the XML-RPC interface is not offered');
  }
  const readOnly = area === 'files' || (area === 'simple' && name !== undefined && name !== '');
  const writes = target.method === 'POST' || target.method === 'PUT' || target.method === 'DELETE';
  return writes && !readOnly
    ? refused('publish', 'packages are not published through this address')
    : refused('method', 'only GET and HEAD are answered here');
}

function coordinateOf(name: string, file: string): Coordinate {
  const version = isStandIn(file) ? '' : readFileName(file, name).version;
  return { ecosystem: 'pypi', namespace: '', name, version };
}

/** The location is relative, so that it holds behind any prefix and any host name. */
function redirect(location: string, target: RequestTarget): Route {
  return {
    kind: 'service',
    service: 'redirect',
    detail: target.query === '' ? location : `${location}?${target.query}`,
  };
}

function refused(reason: 'publish' | 'unknown_route' | 'unparsable' | 'method', detail: string): Route {
  return { kind: 'refused', reason, detail };
}
