// What a failure of Postgres means to whoever called: worth another attempt, in somebody's way, or a fault that will not go
// away by itself.

import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import { sqlState, UNIQUE_VIOLATION } from './pool.ts';

/** Serialisation failure, deadlock, lock or statement timeout, a standby that took over too early. */
const AGAIN = new Set(['40001', '40P01', '55P03', '57014', '25006', '57P01', '57P02', '57P03', '57P05']);
const CHECK_VIOLATION = '23514';
/** Connection trouble, and resources that may come back: connections, memory, disk. */
const AGAIN_CLASSES = new Set(['08', '53', '58']);

/** `unavailable` when the same call may succeed later, `conflict` for a row that exists, `internal` otherwise. */
export function storeError(thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown;
  const state = sqlState(thrown);
  const options = { cause: thrown, internal: { state, error: describeThrown(thrown) } };
  // Without a state it never was an answer of Postgres: the connection broke, or could not be made.
  if (state === '' || AGAIN.has(state) || AGAIN_CLASSES.has(state.slice(0, 2)) || isOfMovedMonth(thrown)) {
    return new WeirError('unavailable', 'the database could not do it now', { ...options, retry: 'later' });
  }
  if (state === UNIQUE_VIOLATION) return new WeirError('conflict', 'a row exists already', options);
  return new WeirError('internal', 'the database refused', options);
}

/** A row that waited for the default partition while its month was taken out of it: such a violation names no constraint. */
function isOfMovedMonth(thrown: unknown): boolean {
  return sqlState(thrown) === CHECK_VIOLATION && (thrown as { readonly constraint?: unknown }).constraint === undefined;
}
