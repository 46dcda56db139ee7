// The one table from Weir's errors to RPC statuses (gRPC and Connect number them alike). A WeirError's message is safe to
// show; anything else becomes `internal error`, and its text goes to the log only.

import { type ErrorCode, WeirError } from '@weir/shared/errors/weir-error.ts';

const STATUS = {
  cancelled: 1,
  invalid_argument: 3,
  unparsable: 3,
  too_large: 3,
  timeout: 4,
  not_found: 5,
  forbidden: 7,
  untrusted: 7,
  resource_exhausted: 8,
  conflict: 9,
  unsupported: 12,
  engine_failed: 13,
  internal: 13,
  unavailable: 14,
  upstream_failed: 14,
  spool_failed: 14,
  integrity: 15,
  corrupt: 15,
  unauthenticated: 16,
} as const satisfies Record<ErrorCode, number>;

export interface RpcStatus {
  readonly code: number;
  readonly message: string;
  /** Trailers: `weir-code`, `weir-retry` and, percent-encoded, `weir-next`. */
  readonly trailers: Readonly<Record<string, string>>;
  /** True when the thrown value was not a WeirError, or is one that somebody must look at. */
  readonly unexpected: boolean;
}

export function rpcStatus(thrown: unknown): RpcStatus {
  const error = thrown instanceof WeirError ? thrown : new WeirError('internal', 'internal error', { retry: 'later' });
  return {
    code: STATUS[error.code],
    message: error.message,
    trailers: {
      'weir-code': error.code,
      'weir-retry': error.retry,
      ...(error.next === '' ? {} : { 'weir-next': encodeURIComponent(error.next) }),
    },
    unexpected: error.code === 'internal' || error.code === 'corrupt',
  };
}
