// The one table from Weir's errors to RPC statuses (gRPC and Connect number them alike). A WeirError's message is safe to
// show; anything else becomes `internal error`, and its text goes to the log only.

import { Code } from '@connectrpc/connect';
import { type ErrorCode, WeirError } from '@weir/shared/errors/weir-error.ts';

const STATUS = {
  cancelled: Code.Canceled,
  invalid_argument: Code.InvalidArgument,
  unparsable: Code.InvalidArgument,
  too_large: Code.InvalidArgument,
  timeout: Code.DeadlineExceeded,
  not_found: Code.NotFound,
  forbidden: Code.PermissionDenied,
  untrusted: Code.PermissionDenied,
  resource_exhausted: Code.ResourceExhausted,
  conflict: Code.FailedPrecondition,
  unsupported: Code.Unimplemented,
  engine_failed: Code.Internal,
  internal: Code.Internal,
  unavailable: Code.Unavailable,
  upstream_failed: Code.Unavailable,
  spool_failed: Code.Unavailable,
  integrity: Code.DataLoss,
  corrupt: Code.DataLoss,
  unauthenticated: Code.Unauthenticated,
} as const satisfies Record<ErrorCode, Code>;

export interface RpcStatus {
  readonly code: Code;
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
