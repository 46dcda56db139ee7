// Signed notes (c2sp.org/signed-note) with Ed25519 keys: a text, an empty line, and lines of signatures that anyone can
// check with a few tools. Signatures by keys we do not know are passed over; a bad one by a key we know spoils the note.

import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { WeirError } from '../../errors/weir-error.ts';
import { AUDIT_KEY_BYTES, checkAuditKey } from './audit-key.ts';

/** Longest note in bytes, signatures included. */
export const NOTE_BYTES_MAX = 128 << 10;
/** Signature lines on one note. */
export const NOTE_SIGNATURES_MAX = 32;
/** Longest key name in UTF-16 units. */
export const KEY_NAME_MAX = 300;

/** Signature types: Ed25519 over the text, and the timestamped cosignature of c2sp.org/tlog-cosignature. */
export const ED25519 = 0x01;
export const COSIGNATURE_V1 = 0x04;
export type SignatureType = typeof ED25519 | typeof COSIGNATURE_V1;

const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;
const KEY_ID_BYTES = 4;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface Verifier {
  readonly name: string;
  /** 32 bits, from name, type and key. */
  readonly keyId: number;
  readonly type: SignatureType;
  /** Whether `signature` (what follows the key id in a signature line) is this key's over the text. Never throws. */
  verify(text: string, signature: Uint8Array): boolean;
}

export interface NoteSigner {
  readonly name: string;
  readonly keyId: number;
  readonly type: SignatureType;
  /** The key for verifiers, as text. */
  readonly vkey: string;
  /** Ed25519 over exactly these bytes. */
  sign(message: Uint8Array): Buffer;
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  /** What follows the key id. */
  readonly signature: Buffer;
}

export interface OpenedNote {
  /** Ends with a newline. */
  readonly text: string;
  /** Signatures by known keys, each checked; at least one. */
  readonly verified: readonly NoteSignature[];
  /** Signatures by other keys, not checked. */
  readonly unknown: readonly NoteSignature[];
}

/** `<name>+<key id in hex>+<base64 of type and key>`. Throws `invalid_argument` for a name or key that cannot be used. */
export function formatVkey(name: string, publicKey: Uint8Array, type: SignatureType): string {
  const keyId = keyIdOf(name, publicKey, type)
    .toString(16)
    .padStart(2 * KEY_ID_BYTES, '0');
  return `${name}+${keyId}+${Buffer.concat([Uint8Array.of(type), publicKey]).toString('base64')}`;
}

/** Reads a verifier key. Throws `invalid_argument` unless it is exactly what `formatVkey` writes. */
export function parseVkey(vkey: string): Verifier {
  const parts = vkey.length > 2 * KEY_NAME_MAX ? [] : vkey.split('+');
  // The base64 may have plus signs of its own; name and key id have none.
  const [name = '', , ...encoded] = parts;
  const bytes = Buffer.from(encoded.join('+'), 'base64');
  const type = bytes[0];
  const publicKey = bytes.subarray(1);
  if (type !== ED25519 && type !== COSIGNATURE_V1) {
    throw new WeirError('invalid_argument', 'not a verifier key: it is of no kind that is used here');
  }
  if (formatVkey(name, publicKey, type) !== vkey) {
    throw new WeirError('invalid_argument', 'not a verifier key: name, key id and key do not belong together');
  }
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') },
    format: 'jwk',
  });
  return { name, keyId: keyIdOf(name, publicKey, type), type, verify: verification(key, type) };
}

/** Signs under `name` with an Ed25519 private key. Throws `invalid_argument` for another kind of key, or no key name. */
export function createNoteSigner(name: string, privateKey: KeyObject, type: SignatureType = ED25519): NoteSigner {
  if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'ed25519') {
    throw new WeirError('invalid_argument', 'notes are signed with an Ed25519 private key');
  }
  const publicKey = rawPublicKey(privateKey);
  return {
    name,
    type,
    keyId: keyIdOf(name, publicKey, type),
    vkey: formatVkey(name, publicKey, type),
    sign: (message) => sign(null, message, privateKey),
  };
}

/** The 32 bytes of an Ed25519 key, given either half. */
export function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-AUDIT_KEY_BYTES);
}

/** A note with one signature. Throws `invalid_argument` for a text that a note cannot have. */
export function signNote(text: string, signer: NoteSigner): Buffer {
  if (signer.type !== ED25519) throw new WeirError('invalid_argument', 'a cosigning key signs checkpoints only');
  if (!text.endsWith('\n') || !isNoteText(text) || !text.isWellFormed()) {
    throw new WeirError(
      'invalid_argument',
      'the text of a note ends with a newline and has no other control characters',
    );
  }
  return Buffer.from(`${text}\n${signatureLine(signer, signer.sign(Buffer.from(text, 'utf8')))}`, 'utf8');
}

/** `— <name> <base64 of key id and signature>` and a newline. */
export function signatureLine(signer: Pick<NoteSigner, 'name' | 'keyId'>, signature: Uint8Array): string {
  const keyId = Buffer.alloc(KEY_ID_BYTES);
  keyId.writeUInt32BE(signer.keyId);
  return `— ${signer.name} ${Buffer.concat([keyId, signature]).toString('base64')}\n`;
}

/**
 * Text and signatures of a note. Throws `untrusted` when it is malformed or too large, when no known key has signed it,
 * or when a known key's signature is wrong or stands there twice.
 */
export function openNote(note: Uint8Array, verifiers: readonly Verifier[]): OpenedNote {
  const { text, signatures } = splitNote(note);
  const verified: NoteSignature[] = [];
  const unknown: NoteSignature[] = [];
  const seen = new Set<Verifier>();
  for (const signature of signatures) {
    const verifier = verifiers.find(({ name, keyId }) => name === signature.name && keyId === signature.keyId);
    if (verifier === undefined) {
      unknown.push(signature);
      continue;
    }
    if (seen.has(verifier)) throw refused(`it is signed twice by ${verifier.name}`);
    seen.add(verifier);
    if (!verifier.verify(text, signature.signature)) throw refused(`the signature by ${verifier.name} is wrong`);
    verified.push(signature);
  }
  if (verified.length === 0) throw refused('no known key has signed it');
  return { text, verified, unknown };
}

/** A note's parts with nothing verified. Throws `untrusted` when it is malformed or too large. */
export function splitNote(note: Uint8Array): { readonly text: string; readonly signatures: readonly NoteSignature[] } {
  if (note.length > NOTE_BYTES_MAX) throw refused(`it is larger than ${NOTE_BYTES_MAX} bytes`);
  let whole: string;
  try {
    whole = UTF8.decode(note);
  } catch (cause) {
    throw refused('it is not UTF-8', cause);
  }
  if (!isNoteText(whole)) throw refused('it has control characters');
  const blank = whole.lastIndexOf('\n\n');
  if (blank < 0 || !whole.endsWith('\n')) throw refused('it is not a text, an empty line and signatures');
  const lines = whole.slice(blank + 2, -1).split('\n');
  if (lines.length > NOTE_SIGNATURES_MAX) throw refused(`it has more than ${NOTE_SIGNATURES_MAX} signatures`);
  return { text: whole.slice(0, blank + 1), signatures: lines.map(readSignature) };
}

/** Seconds since 1970 in a cosignature, undefined when its shape is wrong or the time is beyond 2^53. */
export function cosignatureTimeS(signature: Uint8Array): number | undefined {
  if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) return undefined;
  const time = Buffer.from(signature.buffer, signature.byteOffset, TIME_BYTES).readBigUInt64BE();
  return time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : undefined;
}

/** What a cosigner signs: a checkpoint's text at a time in seconds since 1970. */
export function cosignedMessage(text: string, timeS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`, 'utf8');
}

/** A cosignature's bytes: time and Ed25519 signature. */
export function cosignature(text: string, timeS: number, signer: NoteSigner): Buffer {
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigUInt64BE(BigInt(timeS));
  return Buffer.concat([time, signer.sign(cosignedMessage(text, timeS))]);
}

function verification(key: KeyObject, type: SignatureType): Verifier['verify'] {
  return (text, signature) => {
    if (type === ED25519) {
      return signature.length === SIGNATURE_BYTES && verify(null, Buffer.from(text, 'utf8'), key, signature);
    }
    const timeS = cosignatureTimeS(signature);
    return timeS !== undefined && verify(null, cosignedMessage(text, timeS), key, signature.subarray(TIME_BYTES));
  };
}

function keyIdOf(name: string, publicKey: Uint8Array, type: SignatureType): number {
  if (!isKeyName(name)) throw new WeirError('invalid_argument', 'a key name has no spaces and no plus sign');
  checkAuditKey(publicKey);
  const id = hash(
    'sha256',
    Buffer.concat([Buffer.from(`${name}\n`, 'utf8'), Uint8Array.of(type), publicKey]),
    'buffer',
  );
  return id.readUInt32BE();
}

function readSignature(line: string): NoteSignature {
  const [dash, name = '', encoded = '', ...more] = line.split(' ');
  const bytes = Buffer.from(encoded, 'base64');
  if (dash !== '—' || more.length > 0 || !isKeyName(name)) throw refused('a signature line is malformed');
  if (bytes.length <= KEY_ID_BYTES || bytes.toString('base64') !== encoded) throw refused('a signature is not base64');
  return { name, keyId: bytes.readUInt32BE(), signature: bytes.subarray(KEY_ID_BYTES) };
}

function isKeyName(name: string): boolean {
  return /^[^+\p{White_Space}\p{Cc}]+$/u.test(name) && name.length <= KEY_NAME_MAX && name.isWellFormed();
}

/** No control characters below U+0020 except newlines. */
function isNoteText(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the format forbids exactly these
  return !/[\u0000-\u0009\u000b-\u001f]/.test(text);
}

function refused(why: string, cause?: unknown): WeirError {
  return new WeirError('untrusted', `the signed note is refused: ${why}`, cause === undefined ? {} : { cause });
}
