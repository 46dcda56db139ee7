// Real randomness. UUIDv7 comes from one pooled draw, because every request needs one.

import { randomBytes, randomFillSync } from 'node:crypto';
import type { Random } from '@weir/shared/ports/random.ts';

const POOL_BYTES = 4096;
const pool = Buffer.allocUnsafe(POOL_BYTES);
let offset = POOL_BYTES;

function take(size: number): Buffer {
  if (offset + size > POOL_BYTES) {
    randomFillSync(pool);
    offset = 0;
  }
  offset += size;
  return pool.subarray(offset - size, offset);
}

export const systemRandom: Random = {
  bytes: (size) => randomBytes(size),
  unit: () => Math.random(),
  uuid() {
    const random = take(10).toString('hex');
    const time = Date.now().toString(16).padStart(12, '0');
    const variant = ((Number.parseInt(random.charAt(3), 16) & 3) | 8).toString(16);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`;
  },
};
