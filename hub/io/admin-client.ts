// The admin port as its callers see it: typed clients with the operator token on every call. `readCallError` gives Weir's
// own errors back.

import { readFileSync } from 'node:fs';
import type { DescService } from '@bufbuild/protobuf';
import { type Client, Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { describeThrown, ERROR_CODES, type RetryAdvice, WeirError } from '@weir/shared/errors/weir-error.ts';
import { isLoopback } from './loopback.ts';

export interface AdminClientOptions {
  /** Base URL of the admin port. */
  readonly url: string;
  readonly token: string;
  /** PEM file of the CA behind the port's certificate; '' for the system's. */
  readonly caFile: string;
}

export type AdminClient = <Service extends DescService>(service: Service) => Client<Service>;

/** @throws WeirError `invalid_argument` for a URL that would carry the token in the clear over a network */
export function createAdminClient({ url, token, caFile }: AdminClientOptions): AdminClient {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new WeirError('invalid_argument', `${url} is not an http or https URL`, {
      next: 'give --hub the URL that the hub printed',
    });
  }
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname.replace(/^\[(.*)\]$/, '$1'))) {
    throw new WeirError('invalid_argument', 'the operator token is not sent over plain http to another machine', {
      next: 'use an https URL, or a tunnel to a loopback address',
    });
  }
  const authorize: Interceptor = (next) => async (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: '1.1',
    useBinaryFormat: true,
    interceptors: [authorize],
    ...(caFile === '' ? {} : { nodeOptions: { ca: readFileSync(caFile) } }),
  });
  return (service) => createClient(service, transport);
}

const FALLBACK: Readonly<Partial<Record<Code, (typeof ERROR_CODES)[number]>>> = {
  [Code.Unavailable]: 'unavailable',
  [Code.Unauthenticated]: 'unauthenticated',
  [Code.PermissionDenied]: 'forbidden',
  [Code.NotFound]: 'not_found',
  [Code.DeadlineExceeded]: 'timeout',
  [Code.Canceled]: 'cancelled',
  [Code.ResourceExhausted]: 'resource_exhausted',
  [Code.InvalidArgument]: 'invalid_argument',
};

/** Whatever a call threw as a WeirError, with the advice that the hub sent. */
export function readCallError(thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown;
  if (!(thrown instanceof ConnectError)) return new WeirError('internal', describeThrown(thrown), { cause: thrown });
  const sent = thrown.metadata.get('weir-code');
  const code = ERROR_CODES.find((known) => known === sent);
  if (
    code === undefined &&
    (thrown.code === Code.Unavailable || /ECONNREFUSED|ENOTFOUND|ECONNRESET/.test(thrown.message))
  ) {
    return new WeirError('unavailable', 'the hub does not answer', {
      cause: thrown,
      retry: 'later',
      next: 'start it with `weir hub run`, or name another with --hub',
    });
  }
  const next = thrown.metadata.get('weir-next');
  const retry = RETRIES.find((known) => known === thrown.metadata.get('weir-retry'));
  return new WeirError(code ?? FALLBACK[thrown.code] ?? 'internal', thrown.rawMessage, {
    cause: thrown,
    ...(next === null ? {} : { next: decodeURIComponent(next) }),
    ...(retry === undefined ? {} : { retry }),
  });
}

const RETRIES: readonly RetryAdvice[] = ['never', 'later', 'now'];
