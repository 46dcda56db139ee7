// Waits for shared work on behalf of one caller: when that caller leaves, its waiting ends and the work goes on.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** @throws WeirError `cancelled` when `signal` aborts first */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new WeirError('cancelled', 'the request was given up'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
