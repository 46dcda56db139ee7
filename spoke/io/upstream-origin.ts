// Which addresses a registry's traffic may go to. Three kinds of origin are trusted, each less than the one before: the
// configured base, hosts that the operator listed, and the one origin that the index itself names for a file. Anything
// else, and every step from https down to http, is refused before a connection is made.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** `base` and `listed` were named by the operator; `learnt` was named by an upstream document and is address-guarded. */
export type OriginTrust = 'base' | 'listed' | 'learnt';

export interface Destination {
  readonly url: URL;
  readonly trust: OriginTrust;
}

export interface OriginPolicy {
  readonly base: URL;
  /** A path relative to the base, or an absolute URL that an index named. */
  resolve(pathOrUrl: string, documentUrl?: string): Destination;
  /** Where a redirect leads; `learnt` is the origin that the index named for this very file, '' when there is none. */
  redirect(from: URL, location: string, learnt: string): Destination;
}

const URL_CHARACTERS_MAX = 8192;

/**
 * @param baseUrl http or https, with or without a trailing '/'; must carry no credentials, query or fragment
 * @param allowedHosts exact `host` (its default port) or `host:port`, as the operator listed them
 * @throws WeirError `invalid_argument`
 */
export function createOriginPolicy(baseUrl: string, allowedHosts: readonly string[]): OriginPolicy {
  const base = parseBase(baseUrl);
  const listed = new Set(allowedHosts.map((host) => host.toLowerCase()));

  function trustOf(url: URL, learnt: string): OriginTrust | undefined {
    if (url.origin === base.origin) return 'base';
    if (listed.has(url.host)) return 'listed';
    return url.origin === learnt ? 'learnt' : undefined;
  }

  return {
    base,
    resolve(pathOrUrl, documentUrl) {
      const absolute = /^https?:\/\//i.test(pathOrUrl);
      const url = parse(pathOrUrl, documentUrl ?? base.href);
      // A mirror behind a TLS terminator often names itself with http: same host, so the configured scheme is meant.
      if (url.protocol === 'http:' && base.protocol === 'https:' && url.hostname === base.hostname) {
        url.protocol = base.protocol;
        url.port = base.port;
      }
      if (base.protocol === 'https:' && url.protocol === 'http:') throw refused('downgrade', url);
      if (!absolute && documentUrl === undefined && !isBelow(url, base)) throw refused('outside_base', url);
      return { url, trust: trustOf(url, '') ?? 'learnt' };
    },
    redirect(from, location, learnt) {
      const url = parse(location, from.href);
      if (from.protocol === 'https:' && url.protocol === 'http:') throw refused('downgrade', url);
      const trust = trustOf(url, learnt);
      if (trust === undefined) throw refused('host_not_allowed', url);
      return { url, trust };
    },
  };
}

function parseBase(text: string): URL {
  let url: URL;
  try {
    url = new URL(text.endsWith('/') ? text : `${text}/`);
  } catch (cause) {
    throw new WeirError('invalid_argument', 'the base address of an upstream registry is not a URL', { cause });
  }
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!/^https?:$/.test(url.protocol) || !plain) {
    throw new WeirError(
      'invalid_argument',
      'the base address of an upstream registry must be http or https without credentials, query or fragment',
    );
  }
  return url;
}

function parse(text: string, relativeTo: string): URL {
  if (text.length > URL_CHARACTERS_MAX) {
    throw new WeirError('upstream_failed', 'the upstream registry named an over-long address', {
      detail: { fault: 'bad_url' },
    });
  }
  let url: URL;
  try {
    url = new URL(text, relativeTo);
  } catch (cause) {
    throw new WeirError('upstream_failed', 'the upstream registry named an address that is no URL', {
      cause,
      detail: { fault: 'bad_url' },
    });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused('scheme', url);
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

function isBelow(url: URL, base: URL): boolean {
  return url.origin === base.origin && url.pathname.startsWith(base.pathname);
}

function refused(fault: 'downgrade' | 'outside_base' | 'host_not_allowed' | 'scheme', url: URL): WeirError {
  return new WeirError('upstream_failed', 'the upstream registry led to an address that is not allowed', {
    next: 'ask the operator of this spoke to list the host among the allowed hosts of this registry',
    detail: { fault },
    internal: { host: url.host, scheme: url.protocol },
  });
}
