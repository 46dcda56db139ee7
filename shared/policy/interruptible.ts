// Runs foreign code that may not return, with a limit that really ends it: `node:vm` stops JavaScript and wasm alike, on
// this thread. It costs about 100 µs, so it guards the making of an instance; evaluations are guarded by `meter.ts`.

import { type Context, Script, createContext } from 'node:vm';

const CALL = new Script('work()');

/** The work was ended by its limit. */
export class Interrupted extends Error {}

export class Interruptible {
  readonly #scope: { work: () => void } = { work: () => undefined };
  readonly #context: Context = createContext(this.#scope);

  /** The work's own result or exception; throws `Interrupted` once `limitMs` is over. */
  run<T>(work: () => T, limitMs: number): T {
    const results: T[] = [];
    this.#scope.work = () => void results.push(work());
    try {
      CALL.runInContext(this.#context, { timeout: limitMs });
    } catch (thrown) {
      throw isTimeout(thrown) ? new Interrupted(`did not return within ${limitMs} ms`) : thrown;
    } finally {
      this.#scope.work = () => undefined;
    }
    return results[0] as T;
  }
}

/** The error of a timeout belongs to the other context, so that only its code tells it. */
function isTimeout(thrown: unknown): boolean {
  return (
    typeof thrown === 'object' && thrown !== null && Reflect.get(thrown, 'code') === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  );
}
