// The exit status of every hub command, and the one table from errors to it.

import type { ErrorCode } from '@weir/shared/errors/weir-error.ts';

export const EXIT = {
  done: 0,
  failed: 1,
  /** The command line or its input was wrong. */
  usage: 2,
  /** Understood, and refused: by a gate, by policy, by missing rights, by the state of things. */
  refused: 3,
  notFound: 4,
  /** The hub does not answer. */
  unreachable: 5,
} as const;

const BY_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  invalid_argument: EXIT.usage,
  unparsable: EXIT.usage,
  too_large: EXIT.usage,
  forbidden: EXIT.refused,
  unauthenticated: EXIT.refused,
  untrusted: EXIT.refused,
  conflict: EXIT.refused,
  resource_exhausted: EXIT.refused,
  not_found: EXIT.notFound,
  unavailable: EXIT.unreachable,
  timeout: EXIT.unreachable,
};

export function exitStatus(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.failed;
}
