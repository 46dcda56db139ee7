// `weir audit prove`: one row with the proof that its log contains it, as a file that needs nothing but public keys.

import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { AuditLogService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { readCallError } from '../io/admin-client.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { printJson, printNote, settle, writeOut } from './output.ts';

/** Which row: by id, by request code, or by its place. */
export type RowName =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'place'; readonly log: string; readonly index: number };

export interface ProvenRow {
  readonly log: string;
  readonly index: number;
  readonly size: number;
  /** c2sp.org/tlog-proof@v1. */
  readonly proof: string;
  readonly logVkey: string;
  /** '' when only the log has signed. */
  readonly hubVkey: string;
}

/** Proves a row without the hub; undefined when nothing here has it. */
export type ProveElsewhere = (row: RowName) => Promise<ProvenRow | undefined>;

interface Options extends ConnectionOptions {
  readonly out?: string;
}

export function registerAuditProve(audit: Command, elsewhere: ProveElsewhere): void {
  withConnection(audit.command('prove').description('one row with the proof that its log contains it'))
    .argument('<row>', 'request code, id of a row, or LOG:INDEX')
    .option('--out <file>', 'write the proof there (default: standard output)')
    .addHelpText(
      'after',
      `
With the hub away, or the row not there yet, the spokes of this machine are asked; then only the log has signed.
The file carries the row. Anybody can check it offline: weir audit check FILE --key VKEY --hub-key VKEY`,
    )
    .action((row: string, options: Options) => settle(options.json === true, () => prove(row, options, elsewhere)));
}

async function prove(text: string, options: Options, elsewhere: ProveElsewhere): Promise<void> {
  const row = readRowName(text);
  const proven = await atHub(row, options).catch(async (thrown: unknown) => {
    const error = readCallError(thrown);
    const found = error.code === 'not_found' || error.code === 'unavailable' ? await elsewhere(row) : undefined;
    if (found === undefined) throw error;
    return found;
  });
  const { log, index, size, proof, logVkey, hubVkey } = proven;
  if (options.out !== undefined) {
    try {
      writeFileSync(options.out, proof);
    } catch (thrown) {
      throw asWeirError(thrown, 'forbidden', `${options.out} cannot be written`);
    }
  }
  if (options.json === true) {
    printJson({ log, index, size, proof, log_vkey: logVkey, hub_vkey: hubVkey });
    return;
  }
  if (options.out === undefined) await writeOut(proof);
  const keys = `--key '${logVkey}'${hubVkey === '' ? '' : ` --hub-key '${hubVkey}'`}`;
  const signed = hubVkey === '' ? 'signed by the log alone' : 'receipted by the hub';
  printNote(
    `row ${index} of ${log}, ${signed} at ${size} rows\ncheck it: weir audit check ${options.out ?? 'FILE'} ${keys}`,
  );
}

async function atHub(row: RowName, options: ConnectionOptions): Promise<ProvenRow> {
  const client = (await connect(options))(AuditLogService);
  const found = await client.prove({
    row:
      row.kind === 'place'
        ? { case: 'place', value: { log: row.log, index: BigInt(row.index) } }
        : row.kind === 'code'
          ? { case: 'code', value: row.code }
          : { case: 'id', value: row.id },
  });
  return {
    log: found.log,
    index: Number(found.index),
    size: Number(found.size),
    proof: Buffer.from(found.proof).toString('utf8'),
    logVkey: found.logVkey,
    hubVkey: found.hubVkey,
  };
}

/** @throws WeirError `invalid_argument` */
export function readRowName(text: string): RowName {
  const [, log = '', index = ''] = /^(.+):(\d{1,15})$/.exec(text) ?? [];
  if (parseLogId(log) !== undefined) return { kind: 'place', log, index: Number(index) };
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return { kind: 'id', id: text.toLowerCase() };
  const code = readRequestCode(text);
  if (code !== undefined) return { kind: 'code', code };
  throw new WeirError('invalid_argument', `${text} names no row`, {
    next: 'give the code of a refusal (8 letters and digits), the id of a row (a UUID), or LOG:INDEX',
  });
}
