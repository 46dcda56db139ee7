// How much of what spokes have sent waits in memory, and whose it is. A spoke may hold as much as is still free: one alone at
// most half, and however much some of them send, there is room left for the next.

import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { RowBatch } from '@weir/shared/wire/audit.ts';

export interface HeldLimits {
  /** Batches held in memory, over all spokes, and what they take there; beyond either a spoke is told to come back. */
  readonly heldBatches: number;
  readonly heldBytes: number;
}

export interface HeldBatches {
  /** Takes room for a batch and returns the way to give it back; undefined when its owner has to come again. */
  take(owner: string, bytes: number): (() => void) | undefined;
}

/** What an array entry and its view of the message take, so that empty rows are not free. */
const ENTRY_BYTES = 128;

/** About what a batch takes in memory. */
export function sizeInMemory({ rows, checkpoint, proof }: Pick<RowBatch, 'rows' | 'checkpoint' | 'proof'>): number {
  const entries = [...rows, ...proof, checkpoint];
  return entries.reduce((sum, { length }) => sum + length + ENTRY_BYTES, 0);
}

export function createHeldBatches(limits: HeldLimits, metrics: Pick<Metrics, 'gauge'>): HeldBatches {
  const owners = new Map<string, { batches: number; bytes: number }>();
  const all = { batches: 0, bytes: 0 };

  function add(owner: string, batches: number, bytes: number): void {
    const own = owners.get(owner) ?? { batches: 0, bytes: 0 };
    for (const sum of [own, all]) {
      sum.batches += batches;
      sum.bytes += bytes;
    }
    if (own.batches === 0) owners.delete(owner);
    else owners.set(owner, own);
    metrics.gauge('weir_hub_audit_held_bytes', all.bytes);
  }

  return {
    take(owner, bytes) {
      const own = owners.get(owner) ?? { batches: 0, bytes: 0 };
      if (own.batches + 1 > limits.heldBatches - all.batches || own.bytes + bytes > limits.heldBytes - all.bytes) {
        return undefined;
      }
      add(owner, 1, bytes);
      return () => add(owner, -1, -bytes);
    },
  };
}
