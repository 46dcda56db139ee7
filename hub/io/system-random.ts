// Real randomness.

import { randomBytes } from 'node:crypto';
import type { Random } from '@weir/shared/ports/random.ts';

export const systemRandom: Random = {
  bytes: (size) => randomBytes(size),
  unit: () => Math.random(),
  uuid() {
    const time = Date.now().toString(16).padStart(12, '0');
    const tail = randomBytes(10);
    tail[0] = (tail.readUInt8(0) & 0x0f) | 0x70;
    tail[2] = (tail.readUInt8(2) & 0x3f) | 0x80;
    const random = tail.toString('hex');
    return `${time.slice(0, 8)}-${time.slice(8)}-${random.slice(0, 4)}-${random.slice(4, 8)}-${random.slice(8)}`;
  },
};
