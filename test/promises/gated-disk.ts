// The spool's real disk behind a gate: a durable write waits until it is let through, and everybody can see the order in
// which things happened.

import type { SpoolDisk } from '@weir/spoke/audit/spool-disk.ts';
import { openUnlocked } from '@weir/spoke/io/spool-disk.ts';

export interface Gate {
  /** Writes that have begun, waiting ones included. */
  readonly begun: number;
  shut(): void;
  open(): void;
  /** For `SpokeOptions.openDisk`. */
  openDisk(folder: string): Promise<SpoolDisk>;
}

/** @param onDurable called after each write, once its bytes are on stable storage */
export function createGate(onDurable: () => void): Gate {
  let begun = 0;
  let passage = Promise.withResolvers<void>();
  passage.resolve();
  return {
    get begun() {
      return begun;
    },
    shut() {
      passage = Promise.withResolvers<void>();
    },
    open: () => passage.resolve(),
    async openDisk(folder) {
      const disk = await openUnlocked(folder);
      return {
        ...disk,
        async open(name) {
          const file = await disk.open(name);
          return {
            async write(bytes, offset) {
              begun += 1;
              await passage.promise;
              const written = await file.write(bytes, offset);
              onDurable();
              return written;
            },
            close: () => file.close(),
          };
        },
      };
    },
  };
}
