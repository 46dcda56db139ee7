// The signed notes in a log's folder: the newest checkpoint, by which its rows are checked at the next start, and the hub's
// receipts, under which rows may go. Written at most once a second, and whenever something depends on them.

import { openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { type Verifier, cosignatureTimeS, splitNote } from '@weir/shared/audit/tlog/note.ts';
import { damagedFile } from './damaged-file.ts';
import type { SpoolDisk } from './spool-disk.ts';

export const CHECKPOINT_FILE = 'checkpoint';
export const RECEIPT_FILE = 'receipt';
export const RECEIPTS_FOLDER = 'receipts';
/** One receipt for so many seconds is kept for ever. */
export const RECEIPT_EVERY_S = 3_600;

/** A size and root that the log's key has signed. */
export interface SignedHead {
  readonly size: number;
  readonly root: Buffer;
}

/** A receipt whose signatures were checked. */
export interface HeldReceipt {
  readonly bytes: Buffer;
  /** Rows that the hub has. */
  readonly size: number;
  /** When the hub signed, seconds since 1970 by its clock. */
  readonly timeS: number;
}

export interface StoredNotes {
  readonly checkpoint: SignedHead | undefined;
  readonly receipt: (HeldReceipt & SignedHead) | undefined;
  /** When the newest of the receipts that are kept for ever was signed; -Infinity when there is none. */
  readonly keptS: number;
}

/** Throws `corrupt` when a note is there and not by the log's key. */
export async function loadNotes(disk: Pick<SpoolDisk, 'load' | 'list'>, log: Verifier): Promise<StoredNotes> {
  const checkpoint = await disk.load(CHECKPOINT_FILE);
  const receipt = await disk.load(RECEIPT_FILE);
  const sizes = (await disk.list(RECEIPTS_FOLDER)).filter((name) => /^\d{1,16}$/.test(name)).map(Number);
  const newest = sizes.length === 0 ? undefined : await disk.load(`${RECEIPTS_FOLDER}/${Math.max(...sizes)}`);
  return {
    checkpoint: checkpoint === undefined ? undefined : headOf(checkpoint, log, CHECKPOINT_FILE),
    receipt:
      receipt === undefined
        ? undefined
        : { ...headOf(receipt, log, RECEIPT_FILE), bytes: receipt, timeS: signedAtS(receipt) ?? 0 },
    keptS: (newest === undefined ? undefined : signedAtS(newest)) ?? Number.NEGATIVE_INFINITY,
  };
}

/** Id of the log that the checkpoint is about, as it stands there and unchecked: a second word for what `log.json` says. */
export async function logSigned(disk: Pick<SpoolDisk, 'load'>): Promise<string | undefined> {
  const origin = (await disk.load(CHECKPOINT_FILE))?.toString('latin1').split('\n', 1)[0];
  return origin?.split('/')[1];
}

/** Writes the newest receipt down, and once an hour one that stays. */
export async function saveReceipt(
  disk: Pick<SpoolDisk, 'replace'>,
  receipt: HeldReceipt,
  keptS: number,
): Promise<{ readonly keptS: number }> {
  await disk.replace(RECEIPT_FILE, receipt.bytes);
  if (receipt.timeS - keptS < RECEIPT_EVERY_S) return { keptS };
  await disk.replace(`${RECEIPTS_FOLDER}/${receipt.size}`, receipt.bytes);
  return { keptS: receipt.timeS };
}

function headOf(note: Buffer, log: Verifier, file: string): SignedHead {
  try {
    const { size, root } = openCheckpoint(note, log);
    return { size, root };
  } catch (cause) {
    throw damagedFile(file, 'damaged_file', cause);
  }
}

/** Time of the note's cosignature, not checked: it only says when the next one is due. */
function signedAtS(note: Buffer): number | undefined {
  try {
    for (const { signature } of splitNote(note).signatures) {
      const timeS = cosignatureTimeS(signature);
      if (timeS !== undefined) return timeS;
    }
  } catch {
    // Not a note: no time.
  }
  return undefined;
}
