// `weir audit check`: is the row in this file really in the log whose key I trust? Offline, with public keys only.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { checkRowProof, parseRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { EXIT } from './exit-status.ts';
import { instant, printFields, printJson, printLine, settle } from './output.ts';
import { keysFor, type KeyOptions, withKeys } from './trusted-keys.ts';

const FILE_BYTES_MAX = 1 << 20;

interface Options extends KeyOptions {
  readonly json?: boolean;
}

interface Checked {
  readonly sound: boolean;
  readonly why: string;
  readonly log: string;
  readonly index: number | null;
  readonly size: number | null;
  readonly receiptTimeS: number | null;
  readonly row: Buffer | undefined;
}

export function registerAuditCheck(audit: Command): void {
  withKeys(
    audit.command('check').description('check a proof that `weir audit prove` made; needs no hub and no network'),
  )
    .argument('<file>', "proof file, or '-' for standard input")
    .option('--json', 'machine-readable output')
    .addHelpText(
      'after',
      `
The log's key is needed (--key); with --hub-key the hub must have receipted the row as well.
Exit status: 0 sound, 1 not sound, 2 wrong use, 4 no such file.`,
    )
    .action((file: string, options: Options) =>
      settle(options.json === true, () => Promise.resolve(check(file, options))),
    );
}

function check(file: string, options: Options): number {
  if (options.key.length === 0) {
    throw new WeirError('invalid_argument', "a proof shows nothing without the log's key", {
      next: 'give it with --key; `weir audit key --log LOG` prints it where the hub is reachable',
    });
  }
  const checked = judge(readProof(file), options);
  if (options.json === true) {
    printJson({
      sound: checked.sound,
      why: checked.why,
      log: checked.log,
      index: checked.index,
      size: checked.size,
      receipted_at: checked.receiptTimeS === null ? null : instant(checked.receiptTimeS * 1000),
      leaf: checked.row === undefined ? null : leafHash(checked.row).toString('base64'),
      row: checked.row === undefined || !checked.sound ? null : (JSON.parse(checked.row.toString('utf8')) as unknown),
    });
  } else tell(checked);
  return checked.sound ? EXIT.done : EXIT.failed;
}

function judge(text: string, options: KeyOptions): Checked {
  const nothing = { log: '', index: null, size: null, receiptTimeS: null, row: undefined };
  let log = '';
  try {
    const { origin } = readCheckpoint(parseRowProof(text).checkpoint);
    log = origin.slice(origin.indexOf('/') + 1);
    const { log: key, hub } = keysFor(origin, options, { vkey: '', binding: Buffer.alloc(0), hubVkey: '' });
    const proven = checkRowProof(text, hub === undefined ? { log: key } : { log: key, hub });
    if (hub !== undefined && proven.receiptTimeS === null) {
      return { ...nothing, sound: false, log, why: 'the log has signed it, but the hub has not receipted it' };
    }
    return { ...proven, sound: true, why: '', log };
  } catch (thrown) {
    if (!(thrown instanceof WeirError)) throw thrown;
    // What the caller typed is wrong use; what the file says is not sound.
    if (thrown.code === 'invalid_argument' && !thrown.message.startsWith('not a row proof')) throw thrown;
    return { ...nothing, sound: false, log, why: thrown.message };
  }
}

function tell({ sound, why, log, index, size, receiptTimeS, row: bytes }: Checked): void {
  if (!sound || bytes === undefined) {
    printLine(`NOT SOUND: ${why}`);
    return;
  }
  const row = readRow(bytes);
  printLine('sound: the log has signed a tree that contains exactly this row');
  printFields([
    ['row', `${index} of ${log}`],
    [
      'signed',
      `at ${size} rows${receiptTimeS === null ? '' : `, receipted by the hub ${instant(receiptTimeS * 1000)}`}`,
    ],
    ['time', row.time],
    ['subject', row.subject.purl === '' ? row.request.target : row.subject.purl],
    ['decision', `${row.action}: ${row.level}, mode ${row.mode}, ${row.outcome}`],
    ['code', row.code],
    ['leaf', leafHash(bytes).toString('base64')],
  ]);
  printLine(bytes.toString('utf8'));
}

function readProof(file: string): string {
  try {
    const bytes = readFileSync(file === '-' ? 0 : file);
    if (bytes.length > FILE_BYTES_MAX) throw new WeirError('too_large', `${file} is larger than any proof`);
    return bytes.toString('utf8');
  } catch (thrown) {
    throw asWeirError(thrown, 'not_found', `${file} cannot be read`);
  }
}
