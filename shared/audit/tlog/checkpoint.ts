// Checkpoints (c2sp.org/tlog-checkpoint): a log's size and root under the log's own signature; and receipts, the same note
// with the hub's cosignature (c2sp.org/tlog-cosignature), which says that the hub has stored every row below that size.

import { WeirError } from '../../errors/weir-error.ts';
import { EMPTY_ROOT, HASH_BYTES } from './hash.ts';
import {
  COSIGNATURE_V1,
  cosignature,
  cosignatureTimeS,
  ED25519,
  type NoteSigner,
  openNote,
  signatureLine,
  signNote,
  splitNote,
  type Verifier,
} from './note.ts';

export interface Checkpoint {
  /** The log's name, which is also the name of its key. */
  readonly origin: string;
  /** Rows covered. */
  readonly size: number;
  /** Root hash at that size, 32 bytes. */
  readonly root: Buffer;
}

export interface Receipt {
  readonly checkpoint: Checkpoint;
  /** When the hub signed, seconds since 1970 by its clock. */
  readonly timeS: number;
}

/** Throws `invalid_argument` when the signer is not the log's own. */
export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): Buffer {
  if (signer.name !== checkpoint.origin) {
    throw new WeirError('invalid_argument', 'a checkpoint is signed by the key of its own log');
  }
  const { origin, size, root } = checkpoint;
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`;
  if (readText(text) === undefined) throw new WeirError('invalid_argument', 'a checkpoint is a size and a root');
  return signNote(text, signer);
}

/** Throws `untrusted` unless the note is a checkpoint of the verifier's log, signed by it. Cosignatures may follow. */
export function openCheckpoint(note: Uint8Array, log: Verifier): Checkpoint {
  requireType(log, ED25519);
  return checkpointOf(openNote(note, [log]).text, log);
}

/**
 * The note with one line more: this cosigner's, at this time. What the cosigner vouches for must have been checked before.
 * Throws `untrusted` when the note is malformed or already carries a line in the cosigner's name.
 */
export function cosignCheckpoint(note: Uint8Array, cosigner: NoteSigner, timeS: number): Buffer {
  if (cosigner.type !== COSIGNATURE_V1) throw new WeirError('invalid_argument', 'this key does not cosign');
  if (!Number.isSafeInteger(timeS) || timeS < 0) throw new WeirError('invalid_argument', 'no such time');
  const { text, signatures } = splitNote(note);
  if (signatures.some(({ name, keyId }) => name === cosigner.name && keyId === cosigner.keyId)) {
    throw untrusted('it already carries a cosignature in this name');
  }
  return Buffer.concat([note, Buffer.from(signatureLine(cosigner, cosignature(text, timeS, cosigner)), 'utf8')]);
}

/** Throws `untrusted` unless the log has signed the checkpoint and the hub has cosigned it. */
export function openReceipt(receipt: Uint8Array, keys: { readonly log: Verifier; readonly hub: Verifier }): Receipt {
  const { checkpoint, timeS } = openCosigned(receipt, keys);
  if (timeS === undefined) throw untrusted(`it lacks the cosignature of ${keys.hub.name}`);
  return { checkpoint, timeS };
}

/** As `openReceipt`, but the hub's cosignature may be missing; a wrong one is refused. */
export function openCosigned(
  note: Uint8Array,
  { log, hub }: { readonly log: Verifier; readonly hub: Verifier },
): { readonly checkpoint: Checkpoint; readonly timeS: number | undefined } {
  requireType(log, ED25519);
  requireType(hub, COSIGNATURE_V1);
  const { text, verified } = openNote(note, [log, hub]);
  const by = (key: Verifier) => verified.find(({ name, keyId }) => name === key.name && keyId === key.keyId);
  if (by(log) === undefined) throw untrusted(`it lacks the signature of ${log.name}`);
  const cosigned = by(hub);
  return {
    checkpoint: checkpointOf(text, log),
    timeS: cosigned === undefined ? undefined : cosignatureTimeS(cosigned.signature),
  };
}

/** A checkpoint's three lines with nothing verified: for tools that must say what a note claims. Throws `untrusted`. */
export function readCheckpoint(note: Uint8Array): Checkpoint {
  const checkpoint = readText(splitNote(note).text);
  if (checkpoint === undefined) throw untrusted('it is not an origin, a size and a root');
  return checkpoint;
}

function checkpointOf(text: string, log: Verifier): Checkpoint {
  const checkpoint = readText(text);
  if (checkpoint === undefined) throw untrusted('it is not an origin, a size and a root');
  if (checkpoint.origin !== log.name) throw untrusted(`it is of another log than ${log.name}`);
  return checkpoint;
}

/** Exactly three lines; our logs write no extension lines, and what they would mean is nowhere agreed. */
function readText(text: string): Checkpoint | undefined {
  const [origin = '', sizeText = '', rootText = '', end, ...more] = text.split('\n');
  if (origin === '' || end !== '' || more.length > 0 || !/^(?:0|[1-9]\d{0,15})$/.test(sizeText)) return undefined;
  const size = Number(sizeText);
  const root = Buffer.from(rootText, 'base64');
  if (!Number.isSafeInteger(size) || root.length !== HASH_BYTES || root.toString('base64') !== rootText)
    return undefined;
  if (size === 0 && !root.equals(EMPTY_ROOT)) return undefined;
  return { origin, size, root };
}

function requireType(key: Verifier, type: Verifier['type']): void {
  if (key.type !== type)
    throw new WeirError('invalid_argument', `the key ${key.name} is for another kind of signature`);
}

function untrusted(why: string): WeirError {
  return new WeirError('untrusted', `the checkpoint is refused: ${why}`);
}
