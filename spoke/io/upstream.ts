// The client side of the request path: asks the configured registries for index documents and artifacts. It follows
// redirects itself, sends credentials to the configured origin alone, guards addresses that the operator did not name,
// and never lets an upstream host into a message.

import type { Readable } from 'node:stream';
import { getCACertificates } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { MetadataDocument, UpstreamRequest } from '../registries/adapter.ts';
import { ACCEPTED_ENCODINGS, createByteBudget, readBoundedBody } from './bounded-body.ts';
import { UPSTREAM_LIMITS, type UpstreamLimits } from './io-limits.ts';
import { type AddressGuard, allowedClasses, assertHostAllowed, guardedLookup } from './upstream-guard.ts';
import { upstreamFault } from './upstream-fault.ts';
import { createOriginPolicy, type Destination, type OriginPolicy } from './upstream-origin.ts';

export interface UpstreamRegistry {
  /** http or https; credentials belong into `headers`. */
  readonly baseUrl: string;
  /** Sent to the base's own origin only, e.g. `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Further hosts (`host` or `host:port`) that the operator trusts for artifacts and redirects. */
  readonly allowedHosts?: readonly string[];
}

export interface UpstreamOptions {
  /** By registry id. */
  readonly registries: Readonly<Record<string, UpstreamRegistry>>;
  readonly limits?: Partial<UpstreamLimits>;
  /** Extra CA certificates (PEM), added to the ones Node trusts. */
  readonly ca?: readonly string[];
  /** The values of HTTP_PROXY, HTTPS_PROXY and NO_PROXY. */
  readonly proxy?: { readonly http?: string; readonly https?: string; readonly except?: string };
  /** Refuses every request with `unavailable`. */
  readonly offline?: boolean;
  readonly userAgent?: string;
  readonly metrics: Metrics;
}

/** What upstream gave to recognise a document by; '' where it gave none. */
export interface Validator {
  readonly etag: string;
  readonly lastModified: string;
}

export type MetadataResponse =
  | { readonly kind: 'ok'; readonly document: MetadataDocument; readonly validator: Validator }
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'not_found' };

export type ArtifactResponse =
  | {
      readonly kind: 'ok';
      /** Bytes as upstream announces them; null when it does not. */
      readonly size: number | null;
      /** Fails with a WeirError. Never decoded: digests are over these bytes. Must be read to its end or cancelled. */
      readonly body: AsyncIterable<Buffer>;
      /** Gives the connection up; harmless after the end. */
      cancel(): void;
    }
  | { readonly kind: 'not_found' };

export interface MetadataOptions {
  /** Of the copy at hand; makes the request conditional. */
  readonly validator?: Validator;
  readonly signal?: AbortSignal;
  /** For `method: 'POST'`. */
  readonly body?: Uint8Array;
  readonly contentType?: string;
  readonly contentEncoding?: string;
}

export interface ArtifactSource {
  /** As the index has it: absolute, or relative to the index document. */
  readonly url: string;
  /** `MetadataDocument.baseUrl` of the index document that names it. */
  readonly documentUrl: string;
}

export interface Upstream {
  /** @throws WeirError `upstream_failed`, `timeout`, `too_large`, `resource_exhausted`, `unavailable`, `cancelled` */
  fetchMetadata(registry: string, request: UpstreamRequest, options?: MetadataOptions): Promise<MetadataResponse>;
  /** Resolves with the response header. @throws as `fetchMetadata` does */
  openArtifact(registry: string, source: ArtifactSource, options?: { signal?: AbortSignal }): Promise<ArtifactResponse>;
  close(): Promise<void>;
}

interface Registry {
  readonly id: string;
  readonly origins: OriginPolicy;
  readonly headers: Readonly<Record<string, string>>;
}

type Response = Dispatcher.ResponseData;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const BASE_CLASSES_MS = 60_000;
/** A request on a kept connection that upstream closes at that moment is asked once more. */
const ATTEMPTS = 2;

/** @throws WeirError `invalid_argument` for a base address that cannot be used */
export function createUpstream(options: UpstreamOptions): Upstream {
  const limits: UpstreamLimits = { ...UPSTREAM_LIMITS, ...options.limits };
  const { metrics } = options;
  const budget = createByteBudget(limits.metadataBytesInFlight);
  const registries = new Map<string, Registry>();
  for (const [id, { baseUrl, headers, allowedHosts }] of Object.entries(options.registries)) {
    registries.set(id, { id, origins: createOriginPolicy(baseUrl, allowedHosts ?? []), headers: headers ?? {} });
  }
  const ca = options.ca === undefined || options.ca.length === 0 ? undefined : [...getCACertificates(), ...options.ca];
  // One dispatcher for what the operator named, and one per set of address kinds for what upstream named.
  const dispatchers = new Map<string, Dispatcher>();
  const baseClasses = new Map<string, { readonly until: number; readonly classes: Promise<AddressGuard> }>();
  let inFlight = 0;

  function dispatcher(guard: AddressGuard | undefined): Dispatcher {
    const name = guard === undefined ? 'named' : [...guard].toSorted().join();
    const existing = dispatchers.get(name);
    if (existing !== undefined) return existing;
    const tls = { allowH2: false, ...(ca === undefined ? {} : { ca }) };
    const agent = {
      allowH2: false,
      pipelining: 1,
      connections: limits.connectionsPerOrigin,
      maxHeaderSize: limits.responseHeaderBytes,
      headersTimeout: limits.headersMs,
      bodyTimeout: limits.bodyIdleMs,
      keepAliveTimeout: 30_000,
      connect: {
        ...tls,
        timeout: limits.connectMs,
        ...(guard === undefined ? {} : { lookup: guardedLookup(guard) }),
      },
    };
    const { http = '', https = '', except = '' } = options.proxy ?? {};
    // Behind a proxy the proxy resolves names: then only address literals can be checked here.
    const made =
      http === '' && https === ''
        ? new Agent(agent)
        : new EnvHttpProxyAgent({
            ...agent,
            httpProxy: http,
            httpsProxy: https,
            noProxy: except,
            requestTls: tls,
            proxyTls: tls,
          });
    dispatchers.set(name, made);
    return made;
  }

  async function dispatcherFor(registry: Registry, destination: Destination): Promise<Dispatcher> {
    if (destination.trust !== 'learnt') return dispatcher(undefined);
    const now = performance.now();
    let known = baseClasses.get(registry.id);
    if (known === undefined || known.until < now) {
      known = { until: now + BASE_CLASSES_MS, classes: allowedClasses(registry.origins.base.hostname) };
      baseClasses.set(registry.id, known);
    }
    const classes = await known.classes;
    assertHostAllowed(destination.url.hostname, classes);
    return dispatcher(classes);
  }

  function registryOf(id: string): Registry {
    const registry = registries.get(id);
    if (registry === undefined) throw new WeirError('unsupported', 'this spoke has no upstream for that registry');
    if (options.offline === true) {
      throw new WeirError('unavailable', 'outbound access of this spoke is switched off', {
        detail: { fault: 'offline' },
      });
    }
    return registry;
  }

  async function ask(
    registry: Registry,
    destination: Destination,
    request: { method: 'GET' | 'POST'; headers: Record<string, string>; body?: Uint8Array },
    signal: AbortSignal,
  ): Promise<Response> {
    const agent = await dispatcherFor(registry, destination);
    const { url, trust } = destination;
    const headers = trust === 'base' ? { ...request.headers, ...registry.headers } : request.headers;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: request.method,
          headers: { 'user-agent': options.userAgent ?? 'weir', ...headers },
          ...(request.body === undefined ? {} : { body: request.body }),
          signal,
        });
      } catch (error) {
        if (attempt >= ATTEMPTS || request.method !== 'GET' || !isDroppedConnection(error)) throw error;
      }
    }
  }

  /** Follows redirects; the response that comes back is none. */
  async function open(
    registry: Registry,
    start: Destination,
    request: Parameters<typeof ask>[2],
    signal: AbortSignal,
  ): Promise<{ readonly response: Response; readonly url: URL }> {
    const learnt = start.trust === 'learnt' ? start.url.origin : '';
    let destination = start;
    for (let followed = 0; ; followed += 1) {
      const response = await ask(registry, destination, request, signal);
      if (!REDIRECTS.has(response.statusCode) || request.method !== 'GET') return { response, url: destination.url };
      discard(response);
      if (followed >= limits.redirects) throw failed('redirects', 'the upstream registry redirects too often');
      const location = headerOf(response, 'location');
      if (location === '') throw failed('bad_url', 'the upstream registry redirects without an address');
      destination = registry.origins.redirect(destination.url, location, learnt);
    }
  }

  /** Counts one exchange in and out, and gives every failure our own name for it. */
  async function exchange<T>(
    registry: Registry,
    signal: AbortSignal,
    run: (settle: () => void) => Promise<T>,
  ): Promise<T> {
    if (inFlight >= limits.requestsInFlight) {
      throw new WeirError('resource_exhausted', 'too many requests to upstream registries are under way', {
        retry: 'later',
        detail: { fault: 'requests_in_flight', limit: limits.requestsInFlight },
      });
    }
    inFlight += 1;
    metrics.gauge('weir_spoke_upstream_in_flight', inFlight);
    const startedMs = performance.now();
    let settled = false;
    const settle = (): void => {
      if (settled) return;
      settled = true;
      inFlight -= 1;
      metrics.gauge('weir_spoke_upstream_in_flight', inFlight);
    };
    try {
      const result = await run(settle);
      metrics.observe('weir_spoke_upstream_seconds', (performance.now() - startedMs) / 1000, { registry: registry.id });
      return result;
    } catch (error) {
      settle();
      const fault = upstreamFault(error, signal);
      metrics.count('weir_spoke_upstream_failures_total', { registry: registry.id, code: fault.code });
      throw fault;
    }
  }

  return {
    async fetchMetadata(registryId, request, { validator, signal, body, contentType, contentEncoding } = {}) {
      const registry = registryOf(registryId);
      const bounded = withDeadline(signal, limits.metadataMs);
      return exchange(registry, bounded, async (settle) => {
        const headers: Record<string, string> = { accept: request.accept, 'accept-encoding': ACCEPTED_ENCODINGS };
        if (validator !== undefined && validator.etag !== '') headers['if-none-match'] = validator.etag;
        if (validator !== undefined && validator.lastModified !== '') {
          headers['if-modified-since'] = validator.lastModified;
        }
        if (contentType !== undefined) headers['content-type'] = contentType;
        if (contentEncoding !== undefined) headers['content-encoding'] = contentEncoding;
        const start = registry.origins.resolve(request.path);
        const { response, url } = await open(
          registry,
          start,
          { method: request.method ?? 'GET', headers, ...(body === undefined ? {} : { body }) },
          bounded,
        );
        const { statusCode } = response;
        if (statusCode !== 200) {
          discard(response);
          settle();
          if (statusCode === 304 && validator !== undefined) return { kind: 'not_modified' };
          if (statusCode === 404 || statusCode === 410) return { kind: 'not_found' };
          throw unexpectedStatus(statusCode);
        }
        if (Number(headerOf(response, 'content-length')) > limits.metadataEncodedBytes) {
          discard(response);
          throw new WeirError('too_large', 'the upstream registry sent an index document over the size limit', {
            detail: { fault: 'metadata_too_large', limit_bytes: limits.metadataEncodedBytes },
          });
        }
        const bytes = await readBoundedBody(
          response.body,
          headerOf(response, 'content-encoding'),
          { encodedBytes: limits.metadataEncodedBytes, decodedBytes: limits.metadataDecodedBytes },
          budget,
        );
        settle();
        return {
          kind: 'ok',
          document: { bytes, contentType: headerOf(response, 'content-type'), baseUrl: url.href },
          validator: { etag: headerOf(response, 'etag'), lastModified: headerOf(response, 'last-modified') },
        };
      });
    },

    async openArtifact(registryId, source, { signal } = {}) {
      const registry = registryOf(registryId);
      const bounded = withDeadline(signal, limits.artifactMs);
      return exchange(registry, bounded, async (settle) => {
        const start = registry.origins.resolve(source.url, source.documentUrl);
        const headers = { accept: '*/*', 'accept-encoding': 'identity' };
        const { response } = await open(registry, start, { method: 'GET', headers }, bounded);
        const { statusCode } = response;
        if (statusCode !== 200) {
          discard(response);
          settle();
          if (statusCode === 404 || statusCode === 410) return { kind: 'not_found' };
          throw unexpectedStatus(statusCode);
        }
        const length = headerOf(response, 'content-length');
        const cancel = (): void => {
          settle();
          discard(response);
        };
        response.body.on('error', settle);
        return {
          kind: 'ok',
          size: length === '' ? null : Number(length),
          body: bodyOf(response.body, bounded, cancel),
          cancel,
        };
      });
    },

    async close() {
      await Promise.all([...dispatchers.values()].map((agent) => agent.destroy()));
    },
  };
}

/** The body with its failures named, counted out when it ends in whatever way. */
async function* bodyOf(body: Readable, signal: AbortSignal, cancel: () => void): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    throw upstreamFault(error, signal);
  } finally {
    cancel();
  }
}

/** Leaves a response whose body nobody wants; the connection goes with it. */
function discard(response: Response): void {
  response.body.on('error', () => undefined);
  response.body.destroy();
}

function headerOf(response: Response, name: string): string {
  const value = response.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

function withDeadline(signal: AbortSignal | undefined, ms: number): AbortSignal {
  const deadline = AbortSignal.timeout(ms);
  return signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
}

function isDroppedConnection(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

function failed(fault: string, message: string): WeirError {
  return new WeirError('upstream_failed', message, { detail: { fault } });
}

function unexpectedStatus(status: number): WeirError {
  if (status === 401 || status === 403) {
    return new WeirError('upstream_failed', 'the upstream registry does not accept the credentials of this spoke', {
      next: 'ask the operator of this spoke to check its upstream credentials',
      detail: { fault: 'upstream_credentials', status },
    });
  }
  const passing = status === 429 || status >= 500;
  return new WeirError('upstream_failed', 'the upstream registry answered with an error', {
    retry: passing ? 'later' : 'never',
    detail: { fault: 'upstream_status', status },
  });
}
