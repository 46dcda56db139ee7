// The spoke's identity on disk: certificate, private keys, trust root, log key and salt in one folder, secrets 0600,
// replaced as one by temp + fsync + rename + fsync(dir).

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

const identitySchema = z.strictObject({
  schema: z.literal('weir.identity/v1'),
  workspace: z.string().min(1).max(80),
  unit: z.string().min(1).max(40),
  spoke: z.string().min(1).max(40),
  /** PEM, leaf first. */
  certificate_chain: z.string().min(1),
  /** PKCS#8 PEM of the TLS key (P-256). */
  tls_key: z.string().min(1),
  /** PEM of the CAs that may have issued the hub's certificate. */
  ca_bundle: z.string().min(1),
  /** Unix milliseconds. */
  not_after_ms: z.int(),
  /** PKCS#8 PEM of the audit log's Ed25519 key. */
  log_key: z.string().min(1),
  /** 32 bytes, hex: salts personal data in rows. */
  unit_salt: z.string().regex(/^[0-9a-f]{64}$/),
  /** Canonical JSON of the trust root for bundles. */
  trust_root: z.string().min(2),
});

export type StoredIdentity = z.infer<typeof identitySchema>;

export interface IdentityStore {
  exists(): boolean;
  /** @throws WeirError `not_found` before enrollment, `corrupt` when the file cannot be read as an identity */
  read(): StoredIdentity;
  write(identity: StoredIdentity): void;
}

export function createIdentityStore(home: string): IdentityStore {
  const path = join(home, 'identity', 'identity.json');
  return {
    exists: () => existsSync(path),
    read() {
      if (!existsSync(path)) {
        throw new WeirError('not_found', 'this spoke has never been initialised', {
          next: 'run `weir spoke init` with a join token from `weir spoke invite`',
        });
      }
      const parsed = identitySchema.safeParse(parse(readFileSync(path, 'utf8')));
      if (!parsed.success) {
        throw new WeirError('corrupt', 'the spoke identity on disk cannot be read', {
          cause: parsed.error,
          next: 'restore the identity folder from a backup, or enroll anew with a replacing invitation',
        });
      }
      return parsed.data;
    },
    write(identity) {
      const folder = dirname(path);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const temporary = `${path}.${process.pid}`;
      try {
        const file = openSync(temporary, 'w', 0o600);
        try {
          writeFileSync(file, JSON.stringify(identitySchema.parse(identity)));
          fsyncSync(file);
        } finally {
          closeSync(file);
        }
        renameSync(temporary, path);
      } catch (thrown) {
        rmSync(temporary, { force: true });
        throw thrown;
      }
      const directory = openSync(folder, 'r');
      try {
        fsyncSync(directory);
      } finally {
        closeSync(directory);
      }
    },
  };
}

/** Undefined for what is not JSON: the parser's own error may quote the text, and the text holds keys. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
