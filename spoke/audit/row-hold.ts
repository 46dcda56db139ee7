// While rows are being recorded again no row of the ledger may be dropped: after a crash they are what says how far that
// came. Acknowledgements of the hub wait meanwhile; nothing else does.

export interface RowHold {
  /** Runs the work while rows stay. */
  during<Value>(work: () => Promise<Value>): Promise<Value>;
  /** Resolves once nobody holds rows; undefined when that is now. */
  released(): Promise<void> | undefined;
}

export function createRowHold(): RowHold {
  let holders = 0;
  let free = Promise.withResolvers<void>();
  return {
    async during(work) {
      if (holders === 0) free = Promise.withResolvers<void>();
      holders += 1;
      try {
        return await work();
      } finally {
        holders -= 1;
        if (holders === 0) free.resolve();
      }
    },
    released: () => (holders === 0 ? undefined : free.promise),
  };
}
