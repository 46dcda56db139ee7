// Each log has a key of its own, so that a log which goes wrong takes no other with it. The binding is how a key comes to
// be believed: a note by the spoke's enrolled audit key that names the log and its key.

import type { KeyObject } from 'node:crypto';
import { asWeirError, WeirError } from '../../errors/weir-error.ts';
import { parseLogId } from '../log-id.ts';
import { logOrigin, spokeKeyName } from './names.ts';
import { createNoteSigner, ED25519, formatVkey, openNote, parseVkey, signNote } from './note.ts';

/** First line of every binding; keeps it apart from anything else the key may sign. */
const HEADER = 'weir-log-binding/v1';

export interface LogBinding {
  /** Log id. */
  readonly log: string;
  /** The log's verifier key, for `parseVkey`. */
  readonly vkey: string;
}

export interface SpokeIdentity {
  readonly workspace: string;
  readonly unit: string;
  readonly spoke: string;
}

/** Throws `invalid_argument` when the log is not the spoke's, or the verifier key not the log's. */
export function bindLogKey(binding: SpokeIdentity & LogBinding, spokeKey: KeyObject): Buffer {
  const fault = bindingFault(binding, binding);
  if (fault !== undefined) throw new WeirError('invalid_argument', `a log key cannot be bound: ${fault}`);
  const signer = createNoteSigner(spokeKeyName(binding.workspace, binding.unit, binding.spoke), spokeKey);
  return signNote(`${HEADER}\n${binding.log}\n${binding.vkey}\n`, signer);
}

/**
 * The log and key that a spoke's enrolled audit key (32 bytes) has bound. Throws `untrusted` when the note is not by that
 * key, is no binding, or names a log of somebody else.
 */
export function openBinding(note: Uint8Array, spoke: SpokeIdentity & { readonly publicKey: Uint8Array }): LogBinding {
  const name = spokeKeyName(spoke.workspace, spoke.unit, spoke.spoke);
  let text: string;
  try {
    ({ text } = openNote(note, [parseVkey(formatVkey(name, spoke.publicKey, ED25519))]));
  } catch (cause) {
    const { message } = asWeirError(cause, 'untrusted', 'it cannot be read');
    throw new WeirError('untrusted', `the log binding is refused: ${message}`, { cause });
  }
  const [header, log = '', vkey = '', end, ...more] = text.split('\n');
  const fault =
    header !== HEADER || end !== '' || more.length > 0
      ? 'it is not a log and a key'
      : bindingFault(spoke, { log, vkey });
  if (fault !== undefined) throw new WeirError('untrusted', `the log binding is refused: ${fault}`);
  return { log, vkey };
}

function bindingFault({ workspace, unit, spoke }: SpokeIdentity, { log, vkey }: LogBinding): string | undefined {
  const id = parseLogId(log);
  if (id === undefined) return 'it names no log';
  if (id.unit !== unit || id.spoke !== spoke) return "the log is not this spoke's";
  try {
    const { name, type } = parseVkey(vkey);
    return name === logOrigin(workspace, log) && type === ED25519 ? undefined : "the key is not this log's";
  } catch (cause) {
    return asWeirError(cause, 'untrusted', 'the key cannot be read').message;
  }
}
