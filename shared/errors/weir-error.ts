// The one error type. Branch on `code`, never on the message; the message is a lower-case sentence that is safe to show
// (no secrets, no upstream hosts); `internal` is for logs only.

export const ERROR_CODES = [
  'invalid_argument',
  'unparsable',
  'unauthenticated',
  'forbidden',
  'not_found',
  'conflict',
  'too_large',
  'resource_exhausted',
  'unavailable',
  'timeout',
  'upstream_failed',
  'integrity',
  'untrusted',
  'engine_failed',
  'spool_failed',
  'cancelled',
  'unsupported',
  'corrupt',
  'internal',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];
export type RetryAdvice = 'never' | 'later' | 'now';

export interface WeirErrorOptions {
  readonly cause?: unknown;
  readonly retry?: RetryAdvice;
  /** What the reader can do next, one sentence. */
  readonly next?: string;
  /** Client-safe structured detail. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
  /** For logs only. */
  readonly internal?: Readonly<Record<string, unknown>>;
}

export class WeirError extends Error {
  readonly code: ErrorCode;
  readonly retry: RetryAdvice;
  readonly next: string;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
  readonly internal: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: WeirErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WeirError';
    this.code = code;
    this.retry = options.retry ?? 'never';
    this.next = options.next ?? '';
    this.detail = options.detail ?? {};
    this.internal = options.internal ?? {};
  }
}

/** Any thrown value (libraries throw strings and plain objects too) as a WeirError with the given code. */
export function asWeirError(thrown: unknown, code: ErrorCode, message: string): WeirError {
  return thrown instanceof WeirError ? thrown : new WeirError(code, message, { cause: thrown });
}

/** Text of any thrown value, for logs. */
export function describeThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  if (typeof thrown === 'string') return thrown;
  try {
    return JSON.stringify(thrown) ?? String(thrown);
  } catch {
    return String(thrown);
  }
}
