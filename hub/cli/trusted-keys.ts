// Which keys a command checks signatures with, and what a check with them is worth: keys that the caller brought prove who
// signed; keys read beside the rows prove only that rows and signatures belong together.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { openBinding } from '@weir/shared/audit/tlog/log-binding.ts';
import { COSIGNATURE_V1, ED25519, parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface KeyOptions {
  readonly key: readonly string[];
  readonly spokeKey: readonly string[];
  readonly hubKey?: string;
}

/** What lies beside a log, as nobody but the log's keeper vouches for it; '' and empty where there is none. */
export interface KeysBeside {
  readonly vkey: string;
  readonly binding: Uint8Array;
  readonly hubVkey: string;
}

export interface TrustedKeys {
  readonly log: Verifier;
  readonly hub?: Verifier;
  /** `given`: the caller brought the log's key. `bound`: it brought the spoke's key, which vouches for the log's. */
  readonly logFrom: 'given' | 'bound' | 'beside';
  readonly hubFrom: 'given' | 'beside' | 'none';
}

const SPOKE_NAME = /^spoke\.([a-z0-9-]+)\.weir\/([a-z0-9-]+)\/([a-z0-9-]+)$/;
const KEY_BYTES = 32;

function gather(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

export function withKeys(command: Command): Command {
  return command
    .option('--key <vkey>', "a log's verifier key, or a file with it; may be repeated", gather, [])
    .option('--spoke-key <vkey>', "a spoke's enrolled audit key: vouches for its logs' keys", gather, [])
    .option('--hub-key <vkey>', "the hub's receipt key, or a file with it");
}

/** A verifier key from the command line: the line itself, or a file that holds it. @throws WeirError `invalid_argument` */
export function readVkey(text: string): string {
  let line = text.trim();
  if (!line.includes('+')) {
    try {
      line = readFileSync(text, 'utf8').trim();
    } catch (cause) {
      throw new WeirError('invalid_argument', `${text} is neither a verifier key nor a file with one`, {
        cause,
        next: 'a verifier key looks like name+0123abcd+…; `weir audit key` prints them',
      });
    }
  }
  parseVkey(line);
  return line;
}

/** Keys for the log of this origin. Throws `untrusted` when there is none, or when the spoke's key does not vouch for it. */
export function keysFor(origin: string, options: KeyOptions, beside: KeysBeside): TrustedKeys {
  const hub = hubKey(options, beside);
  const given = options.key.map(readVkey).map(parseVkey);
  const own = given.find(({ name, type }) => name === origin && type === ED25519);
  if (own !== undefined) return { log: own, logFrom: 'given', ...hub };
  const bound = boundKey(origin, options, beside);
  if (bound !== undefined) return { log: bound, logFrom: 'bound', ...hub };
  if (given.length > 0 || options.spokeKey.length > 0) {
    throw new WeirError('untrusted', `none of the given keys is for ${origin}`, {
      next: 'give the key of this log (--key) or of the spoke that wrote it (--spoke-key); `weir audit key` prints both',
    });
  }
  if (beside.vkey === '') {
    throw new WeirError('untrusted', `there is no key for ${origin} beside it`, {
      next: 'give one with --key; `weir audit key --log LOG` prints it',
    });
  }
  const log = parseVkey(beside.vkey);
  if (log.name !== origin) throw new WeirError('untrusted', `the key beside ${origin} is of ${log.name}`);
  return { log, logFrom: 'beside', ...hub };
}

/** What a check with these keys shows, and what not. */
export function trustNote({ logFrom, hubFrom }: Pick<TrustedKeys, 'logFrom' | 'hubFrom'>): string {
  const rows =
    logFrom === 'beside'
      ? "the log's key was read beside the rows: that shows rows and signatures to belong together, not who signed (give --key or --spoke-key from a place that you trust)"
      : logFrom === 'bound'
        ? 'the spoke whose key was given vouches for the key of this log'
        : "the log's key was given";
  const receipts = {
    given: '',
    beside: "; the hub's key was read beside the rows as well (give --hub-key)",
    none: '; receipts were not checked: no key of the hub is known (give --hub-key)',
  }[hubFrom];
  return `${rows}${receipts}`;
}

function hubKey(options: KeyOptions, beside: KeysBeside): Pick<TrustedKeys, 'hub' | 'hubFrom'> {
  const text = options.hubKey === undefined ? beside.hubVkey : readVkey(options.hubKey);
  if (text === '') return { hubFrom: 'none' };
  const hub = parseVkey(text);
  if (hub.type !== COSIGNATURE_V1) {
    throw new WeirError('invalid_argument', `${hub.name} is no receipt key`, {
      next: "`weir audit key` prints the hub's",
    });
  }
  return { hub, hubFrom: options.hubKey === undefined ? 'beside' : 'given' };
}

function boundKey(origin: string, options: KeyOptions, { binding }: KeysBeside): Verifier | undefined {
  for (const text of options.spokeKey.map(readVkey)) {
    const { name } = parseVkey(text);
    const [, workspace = '', unit = '', spoke = ''] = SPOKE_NAME.exec(name) ?? [];
    if (workspace === '') {
      throw new WeirError('invalid_argument', `${name} is no spoke's audit key`, {
        next: "print a spoke's with `weir audit key --unit UNIT --spoke SPOKE`",
      });
    }
    if (!origin.startsWith(`audit.${workspace}.weir/${unit}.${spoke}.`)) continue;
    const publicKey = Buffer.from(text.slice(text.indexOf('+', name.length + 1) + 1), 'base64').subarray(-KEY_BYTES);
    return parseVkey(openBinding(binding, { workspace, unit, spoke, publicKey }).vkey);
  }
  return undefined;
}
