// Folds raw header lines into one record. A header that says who asks or what is asked may come only once: a second one
// would let two readers see two different requests.

import { REQUEST_LIMITS } from './limits.ts';

const ONCE = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'if-range',
  'range',
  'transfer-encoding',
  'user-agent',
]);
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Node hands bytes over as Latin-1; controls other than the tab have no place in a value. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Name or address with an optional port: it becomes part of every address that a view names. */
const HOST = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

export interface ReadHeaders {
  /** Lower-case names on an object without a prototype; repeated values joined by ', ' in order. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** '' when all is well, else why the request cannot be read. */
  readonly why: string;
}

/** @param rawHeaders names and values in turn */
export function readHeaders(rawHeaders: readonly string[]): ReadHeaders {
  const headers = Object.create(null) as Record<string, string | undefined>;
  if (rawHeaders.length > REQUEST_LIMITS.headers * 2) return { headers, why: 'the request has too many headers' };
  let bytes = 0;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const rawName = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    bytes += rawName.length + value.length;
    if (bytes > REQUEST_LIMITS.headerBytes) return { headers, why: 'the headers are too long' };
    if (!NAME.test(rawName) || !VALUE.test(value)) return { headers, why: 'a header is malformed' };
    const name = rawName.toLowerCase();
    const earlier = headers[name];
    if (earlier === undefined) headers[name] = value;
    else if (ONCE.has(name)) return { headers, why: `the header ${name} comes twice` };
    else headers[name] = `${earlier}, ${value}`;
  }
  const host = headers['host'];
  if (host !== undefined && !HOST.test(host)) return { headers, why: 'the header host is malformed' };
  return { headers, why: '' };
}
