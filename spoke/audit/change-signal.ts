// Lets background work sleep until something it looks at has changed.

export interface ChangeSignal {
  /** Wakes everybody who waits. */
  raise(): void;
  /** Resolves at the next change; rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<void>;
}

export function createChangeSignal(): ChangeSignal {
  let change = Promise.withResolvers<void>();
  return {
    raise() {
      change.resolve();
      change = Promise.withResolvers<void>();
    },
    async next(signal) {
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<never>();
      const abort = (): void => aborted.reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      try {
        await Promise.race([change.promise, aborted.promise]);
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
  };
}
