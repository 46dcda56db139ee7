// One row and the proof that its log contains it, in one text (c2sp.org/tlog-proof@v1): the row is carried as the format's
// extra data, so whoever has the file and the log's public key needs nothing else.

import { WeirError } from '../../errors/weir-error.ts';
import { ROW_BYTES_MAX } from '../row.ts';
import { readRow } from '../row-codec.ts';
import { openCheckpoint, openCosigned } from './checkpoint.ts';
import { HASH_BYTES, leafHash } from './hash.ts';
import { logOrigin } from './names.ts';
import { NOTE_BYTES_MAX, type Verifier } from './note.ts';
import { verifyInclusion } from './proof.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
/** Hashes in an inclusion proof: one for each level of the tallest tree. */
const HASHES_MAX = 53;
/** Longest proof in characters. */
export const ROW_PROOF_MAX = NOTE_BYTES_MAX + 2 * ROW_BYTES_MAX + HASHES_MAX * 64;

export interface RowProof {
  /** The row's exact bytes. */
  readonly row: Buffer;
  readonly index: number;
  /** Inclusion proof, leaf's sibling first. */
  readonly proof: readonly Buffer[];
  /** Signed note: a checkpoint or a receipt. */
  readonly checkpoint: Buffer;
}

export interface ProvenRow {
  readonly row: Buffer;
  readonly index: number;
  /** Size of the log at the checkpoint. */
  readonly size: number;
  /** When the hub cosigned, seconds since 1970; null when it did not, or no hub key was given. */
  readonly receiptTimeS: number | null;
}

export function encodeRowProof({ row, index, proof, checkpoint }: RowProof): string {
  const lines = [HEADER, `extra ${row.toString('base64')}`, `index ${index}`];
  for (const hash of proof) lines.push(hash.toString('base64'));
  return `${lines.join('\n')}\n\n${checkpoint.toString('utf8')}`;
}

/** Reads a proof, with nothing verified. Throws `invalid_argument` when it is malformed or carries no row. */
export function parseRowProof(text: string): RowProof {
  if (text.length > ROW_PROOF_MAX) throw malformed(`it is longer than ${ROW_PROOF_MAX} characters`);
  const blank = text.indexOf('\n\n');
  if (blank < 0) throw malformed('it has no checkpoint');
  const [header, extra = '', indexLine = '', ...hashes] = text.slice(0, blank).split('\n');
  if (header !== HEADER) throw malformed(`its first line is not ${HEADER}`);
  if (!extra.startsWith('extra ')) throw malformed('it carries no row');
  if (!/^index (?:0|[1-9]\d{0,15})$/.test(indexLine)) throw malformed('it names no index');
  if (hashes.length > HASHES_MAX) throw malformed(`it has more than ${HASHES_MAX} hashes`);
  const index = Number(indexLine.slice('index '.length));
  const row = fromBase64(extra.slice('extra '.length));
  const proof = hashes.map(fromBase64);
  if (!Number.isSafeInteger(index) || row.length > ROW_BYTES_MAX) throw malformed('index or row is too large');
  if (proof.some((hash) => hash.length !== HASH_BYTES)) throw malformed(`a hash is not ${HASH_BYTES} bytes`);
  return { row, index, proof, checkpoint: Buffer.from(text.slice(blank + 2), 'utf8') };
}

/**
 * The row, proven to stand in the log at its index. Throws `invalid_argument` when the proof is malformed, `untrusted` when
 * a signature or the proof is wrong or the row names another place than the one it was found in.
 */
export function checkRowProof(text: string, keys: { readonly log: Verifier; readonly hub?: Verifier }): ProvenRow {
  const { row, index, proof, checkpoint: note } = parseRowProof(text);
  const { log, hub } = keys;
  const { checkpoint, timeS } =
    hub === undefined ? { checkpoint: openCheckpoint(note, log), timeS: undefined } : openCosigned(note, { log, hub });
  const { size, root, origin } = checkpoint;
  if (!verifyInclusion({ size, index, leaf: leafHash(row), proof, root })) {
    throw new WeirError('untrusted', `the row is not row ${index} of ${origin} at size ${size}`);
  }
  const claimed = readRow(row);
  if (claimed.index !== index || !isOriginOf(origin, claimed.log)) {
    throw new WeirError(
      'untrusted',
      `row ${index} of ${origin} says that it is row ${claimed.index} of ${claimed.log}`,
    );
  }
  return { row, index, size, receiptTimeS: timeS ?? null };
}

/** Whether an origin is that of this log in some workspace. */
function isOriginOf(origin: string, log: string): boolean {
  const workspace = /^audit\.([a-z0-9-]+)\.weir\//.exec(origin)?.[1];
  return workspace !== undefined && origin === logOrigin(workspace, log);
}

function fromBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed('a line is not base64');
  return bytes;
}

function malformed(why: string): WeirError {
  return new WeirError('invalid_argument', `not a row proof: ${why}`);
}
