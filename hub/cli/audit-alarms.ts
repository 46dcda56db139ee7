// `weir audit alarms`: forks, rollbacks, gaps and the like, with the two signed notes that prove them to a third party.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { type AuditAlarm, AuditAlarmService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { asWeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, printJson, printLine, printNote, printTable, settle } from './output.ts';

const PAGE_ALARMS = 1000;

interface ListOptions extends ConnectionOptions {
  readonly unit?: string;
  readonly log?: string;
  readonly all?: boolean;
  readonly limit: number;
  readonly evidence?: string;
}

export function registerAuditAlarms(audit: Command): void {
  const alarms = audit.command('alarms').description('what somebody has to look at: forks, rollbacks, gaps, clones …');
  withConnection(alarms.command('list', { isDefault: true }).description('open alarms, newest first'))
    .option('--unit <unit>', 'only of this unit')
    .option('--log <log>', 'only about this log')
    .option('--all', 'settled ones too')
    .option('--limit <n>', 'at most this many', readCount, 100)
    .option('--evidence <dir>', 'write the two signed notes of each alarm there, as ID-KIND.held and ID-KIND.offered')
    .addHelpText(
      'after',
      `
The notes are checkpoints (or receipts) that cannot both be true. Anybody can check their signatures with the log's key
(\`weir audit key --log LOG\`); two that are both right prove the trouble without the hub's word.`,
    )
    .action((options: ListOptions) => settle(options.json === true, () => list(options)));
  withConnection(alarms.command('settle').description('say that an alarm was looked at; it stays on record'))
    .argument('<id>', 'number of the alarm', readId)
    .action((id: bigint, options: ConnectionOptions) => settle(options.json === true, () => close(id, options)));
}

async function list(options: ListOptions): Promise<void> {
  const client = (await connect(options))(AuditAlarmService);
  const found: AuditAlarm[] = [];
  let cursor = '';
  do {
    const page = await client.listAlarms({
      unit: options.unit ?? '',
      log: options.log ?? '',
      all: options.all ?? false,
      page: { size: Math.min(PAGE_ALARMS, options.limit - found.length), cursor },
    });
    found.push(...page.alarms);
    cursor = page.nextCursor;
  } while (cursor !== '' && found.length < options.limit);
  const written = options.evidence === undefined ? 0 : writeEvidence(options.evidence, found);

  if (options.json === true) printJson({ alarms: found.map(alarmJson), next_cursor: cursor });
  else {
    printTable(
      ['ID', 'TIME', 'KIND', 'UNIT', 'SPOKE', 'LOG', 'STATE', 'DETAIL'],
      found.map((alarm) => [
        String(alarm.id),
        instant(alarm.atMs),
        alarm.kind,
        alarm.unit,
        alarm.spoke,
        alarm.log,
        alarm.settledAtMs === 0n ? 'open' : `settled by ${alarm.settledBy} ${instant(alarm.settledAtMs)}`,
        alarm.detail,
      ]),
      options.all === true ? 'there never was an alarm' : 'no open alarm',
    );
    if (cursor !== '') printNote('… there are more; ask with a larger --limit');
  }
  if (options.evidence !== undefined) printNote(`${written} signed notes written to ${options.evidence}`);
}

async function close(id: bigint, options: ConnectionOptions): Promise<void> {
  const client = (await connect(options))(AuditAlarmService);
  const { alarm } = await client.settleAlarm({ id });
  if (alarm === undefined) return;
  if (options.json === true) printJson({ alarm: alarmJson(alarm) });
  else printLine(`alarm ${id} (${alarm.kind} of ${alarm.log}) is settled; it stays on record with its evidence`);
}

/** @returns how many notes were written */
function writeEvidence(folder: string, alarms: readonly AuditAlarm[]): number {
  let written = 0;
  try {
    mkdirSync(folder, { recursive: true });
    for (const { id, kind, held, offered } of alarms) {
      for (const [name, note] of Object.entries({ held, offered })) {
        if (note.length === 0) continue;
        writeFileSync(join(folder, `${id}-${kind}.${name}`), note);
        written += 1;
      }
    }
  } catch (thrown) {
    throw asWeirError(thrown, 'forbidden', `${folder} cannot be written`);
  }
  return written;
}

function alarmJson(alarm: AuditAlarm): object {
  return {
    id: Number(alarm.id),
    at: instant(alarm.atMs),
    kind: alarm.kind,
    unit: alarm.unit,
    spoke: alarm.spoke,
    log: alarm.log,
    detail: alarm.detail,
    held: Buffer.from(alarm.held).toString('utf8'),
    offered: Buffer.from(alarm.offered).toString('utf8'),
    settled_at: alarm.settledAtMs === 0n ? null : instant(alarm.settledAtMs),
    settled_by: alarm.settledBy,
  };
}

function readId(text: string): bigint {
  if (!/^[1-9]\d{0,15}$/.test(text)) throw new InvalidArgumentError('use the number that `weir audit alarms` shows');
  return BigInt(text);
}
