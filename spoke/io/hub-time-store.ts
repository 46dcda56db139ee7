// Remembers across restarts when the hub last spoke and the latest wall time ever seen, so that neither a reboot nor a clock
// turned back can make an old policy look fresh.

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const schema = z.strictObject({
  schema: z.literal('weir.hub-time/v1'),
  /** Unix seconds. */
  signed_s: z.number().min(0),
  highest_wall_s: z.number().min(0),
});

export interface HubTimeStore {
  /** Undefined before the first contact, and for a file that cannot be read: then the bundle's own date counts. */
  read(): { readonly signedS: number; readonly highestWallS: number } | undefined;
  write(time: { readonly signedS: number; readonly highestWallS: number }): void;
}

export function createHubTimeStore(home: string): HubTimeStore {
  const path = join(home, 'identity', 'hub-time.json');
  return {
    read() {
      if (!existsSync(path)) return undefined;
      let value: unknown;
      try {
        value = JSON.parse(readFileSync(path, 'utf8'));
      } catch {
        return undefined;
      }
      const parsed = schema.safeParse(value);
      return parsed.success ? { signedS: parsed.data.signed_s, highestWallS: parsed.data.highest_wall_s } : undefined;
    },
    write({ signedS, highestWallS }) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      const temporary = `${path}.${process.pid}`;
      const file = openSync(temporary, 'w', 0o600);
      try {
        writeFileSync(
          file,
          JSON.stringify({ schema: 'weir.hub-time/v1', signed_s: signedS, highest_wall_s: highestWallS }),
        );
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    },
  };
}
