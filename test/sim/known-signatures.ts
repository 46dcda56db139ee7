// Spares the simulation the same computation twice. Ed25519 is deterministic, and both sides of the line run in this process:
// a signature that was made here over exactly these bytes by exactly this key is good, and need not be verified by the hub and
// three times by the spoke. Every other one is verified in full, and the product knows nothing of this.

import crypto, { type KeyObject } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const KNOWN_MAX = 20_000;

type Bytes = NodeJS.ArrayBufferView;

/** Returns the way back. Process-wide: for runs that do nothing but simulate. */
export function rememberSignatures(): () => void {
  const { sign, verify, createPrivateKey, createPublicKey } = crypto;
  const plain = { sign, verify, createPrivateKey, createPublicKey };
  const good = new Set<string>();
  const names = new WeakMap<KeyObject, string>();
  const privateKeys = new Map<string, KeyObject>();
  const publicKeys = new Map<string, KeyObject>();

  function nameOf(key: KeyObject): string {
    const known = names.get(key);
    if (known !== undefined) return known;
    const half = key.type === 'private' ? plain.createPublicKey(key) : key;
    const name = String(half.export({ format: 'jwk' }).x);
    names.set(key, name);
    return name;
  }

  const factOf = (key: unknown, data: Bytes, signature: Bytes): string | undefined =>
    isKey(key) && key.asymmetricKeyType === 'ed25519' ? `${nameOf(key)} ${text(signature)} ${text(data)}` : undefined;

  crypto.sign = ((algorithm: null, data: Bytes, key: KeyObject) => {
    const signature = plain.sign(algorithm, data, key);
    const fact = factOf(key, data, signature);
    if (good.size >= KNOWN_MAX) good.clear();
    if (fact !== undefined) good.add(fact);
    return signature;
  }) as typeof crypto.sign;
  crypto.verify = ((algorithm: null, data: Bytes, key: KeyObject, signature: Bytes) => {
    const fact = factOf(key, data, signature);
    return (fact !== undefined && good.has(fact)) || plain.verify(algorithm, data, key, signature);
  }) as typeof crypto.verify;
  crypto.createPrivateKey = (input: Parameters<typeof crypto.createPrivateKey>[0]) => {
    if (Buffer.isBuffer(input)) return remembered(privateKeys, text(input), () => plain.createPrivateKey(input));
    return plain.createPrivateKey(input);
  };
  crypto.createPublicKey = (input: Parameters<typeof crypto.createPublicKey>[0]) => {
    const name = nameOfInput(input);
    return name === undefined
      ? plain.createPublicKey(input)
      : remembered(publicKeys, name, () => plain.createPublicKey(input));
  };

  function nameOfInput(input: unknown): string | undefined {
    if (isKey(input)) return input.type === 'private' ? nameOf(input) : undefined;
    const jwk = typeof input === 'object' && input !== null && 'key' in input ? input.key : undefined;
    const isJwk = typeof jwk === 'object' && jwk !== null && 'crv' in jwk && jwk.crv === 'Ed25519' && 'x' in jwk;
    return isJwk ? String(jwk.x) : undefined;
  }

  syncBuiltinESMExports();
  return () => {
    Object.assign(crypto, plain);
    syncBuiltinESMExports();
  };
}

function remembered(keys: Map<string, KeyObject>, name: string, make: () => KeyObject): KeyObject {
  const key = keys.get(name) ?? make();
  keys.set(name, key);
  return key;
}

function isKey(value: unknown): value is KeyObject {
  return value instanceof crypto.KeyObject;
}

function text(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
