// `weir audit key`: the public keys that signatures in the ledger are checked with, one verifier line each.

import type { Command } from 'commander';
import { AuditLogService, type ListKeysResponse } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { printJson, printNote, printTable, settle, writeOut } from './output.ts';
import { keysFor } from './trusted-keys.ts';

const PAGE_LOGS = 1000;

interface Options extends ConnectionOptions {
  readonly unit?: string;
  readonly spoke?: string;
  readonly log?: string;
  readonly binding?: boolean;
}

export function registerAuditKey(audit: Command): void {
  withConnection(audit.command('key').description("public keys: the hub's for receipts, or those of spokes and logs"))
    .option('--unit <unit>', 'keys of all spokes and logs of this unit')
    .option('--spoke <spoke>', 'keys of this spoke and its logs')
    .option('--log <log>', "only this log's key, as one line")
    .option('--binding', "with --log: the signed note in which its spoke vouches for the log's key")
    .addHelpText(
      'after',
      `
Whoever checks rows should have these keys from somewhere else than the rows: print them here once, and keep them.
  weir audit check row.tlog-proof --key "$(weir audit key --log LOG)" --hub-key "$(weir audit key)"`,
    )
    .action((options: Options) => settle(options.json === true, () => keys(options)));
}

async function keys(options: Options): Promise<void> {
  const { unit = '', spoke = '', log = '' } = options;
  if (options.binding === true && log === '') {
    throw new WeirError('invalid_argument', '--binding is of one log: name it with --log');
  }
  if (log !== '' && (unit !== '' || spoke !== '')) {
    throw new WeirError('invalid_argument', 'choose one of --log and --unit or --spoke');
  }
  const client = (await connect(options))(AuditLogService);
  const found: Pick<ListKeysResponse, 'hub' | 'spokes' | 'logs'> = { hub: '', spokes: [], logs: [] };
  for (let cursor = ''; ; ) {
    const page = await client.listKeys({ unit, spoke, log, page: { size: PAGE_LOGS, cursor } });
    found.hub = page.hub;
    const known = new Set(found.spokes.map(({ vkey }) => vkey));
    found.spokes.push(...page.spokes.filter(({ vkey }) => !known.has(vkey)));
    found.logs.push(...page.logs);
    cursor = page.nextCursor;
    if (cursor === '') break;
  }

  if (options.json === true) {
    printJson({
      hub: found.hub,
      spokes: found.spokes.map(({ unit: of, spoke: name, vkey }) => ({ unit: of, spoke: name, vkey })),
      logs: found.logs.map(({ log: id, vkey, binding }) => ({
        log: id,
        vkey,
        binding: Buffer.from(binding).toString('utf8'),
      })),
    });
    return;
  }
  const [only] = found.logs;
  if (log !== '' && only !== undefined) {
    if (only.vkey === '') throw new WeirError('unsupported', `${log} was written before logs had keys`);
    if (options.binding === true) return writeOut(Buffer.from(only.binding).toString('utf8'));
    await writeOut(`${only.vkey}\n`);
    printNote(
      isBound(found) ? "its spoke's enrolled audit key vouches for it" : 'NO enrolled audit key vouches for it',
    );
    return;
  }
  if (unit === '' && spoke === '') return writeOut(`${found.hub}\n`);
  printTable(
    ['OF', 'KEY'],
    [
      ['hub', found.hub],
      ...found.spokes.map(({ unit: of, spoke: name, vkey }) => [`spoke ${of}/${name}`, vkey === '' ? '-' : vkey]),
      ...found.logs.map(({ log: id, vkey }) => [`log ${id}`, vkey === '' ? '-' : vkey]),
    ],
    'no such spoke',
  );
}

/** Whether the spoke's key, as the hub tells it, vouches for the log's. */
function isBound({ spokes, logs }: Pick<ListKeysResponse, 'spokes' | 'logs'>): boolean {
  const [log] = logs;
  if (log === undefined) return false;
  try {
    const origin = log.vkey.slice(0, log.vkey.indexOf('+'));
    const options = { key: [], spokeKey: spokes.map(({ vkey }) => vkey) };
    return keysFor(origin, options, { vkey: log.vkey, binding: log.binding, hubVkey: '' }).logFrom === 'bound';
  } catch {
    return false;
  }
}
