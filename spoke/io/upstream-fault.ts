// Gives every way in which a request to upstream can fail one of our own error codes. The message never names the host;
// what the network said is kept for logs.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);
const TLS_FAULT = /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/;
const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL']);

/** @param signal the signal that the request ran under; tells a cancelled request from a timed-out one */
export function upstreamFault(thrown: unknown, signal: AbortSignal): WeirError {
  if (thrown instanceof WeirError) return thrown;
  // A refusal of the address guard arrives wrapped when several connections were tried.
  const wrapped = (thrown as { cause?: unknown } | null)?.cause;
  if (wrapped instanceof WeirError) return wrapped;
  const { code, name, message } = describe(thrown);
  const internal = { reason: message, error_code: code };
  if (signal.aborted) {
    if (name === 'TimeoutError') return timeout('deadline', thrown, internal);
    return new WeirError('cancelled', 'the request was given up', { cause: thrown, internal });
  }
  if (name === 'TimeoutError' || TIMEOUTS.has(code)) return timeout(code, thrown, internal);
  if (UNREACHABLE.has(code)) return failed('unreachable', 'the upstream registry cannot be reached', thrown, internal);
  if (TLS_FAULT.test(code)) {
    return failed('tls', 'the upstream registry cannot be reached over a trusted TLS connection', thrown, internal);
  }
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE') {
    return failed('truncated', 'the upstream registry broke off its answer', thrown, internal);
  }
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
    return failed('length', 'the upstream registry sent another number of bytes than it announced', thrown, internal);
  }
  return failed('protocol', 'the upstream registry sent an answer that cannot be read', thrown, internal);
}

function timeout(stage: string, cause: unknown, internal: Readonly<Record<string, unknown>>): WeirError {
  return new WeirError('timeout', 'the upstream registry did not answer in time', {
    cause,
    retry: 'later',
    detail: { fault: 'timeout' },
    internal: { ...internal, stage },
  });
}

function failed(
  fault: string,
  message: string,
  cause: unknown,
  internal: Readonly<Record<string, unknown>>,
): WeirError {
  return new WeirError('upstream_failed', message, { cause, retry: 'later', detail: { fault }, internal });
}

function describe(thrown: unknown): { readonly code: string; readonly name: string; readonly message: string } {
  const error = thrown as { code?: unknown; name?: unknown; message?: unknown } | null;
  return { code: text(error?.code), name: text(error?.name), message: text(error?.message) };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
