// `weir audit fsck`: the hub derives every leaf, tile and root again from the rows that it stores, and names what is wrong.

import type { Command } from 'commander';
import { AuditLogService, type FsckLog, type FsckSummary } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { printable, printJson, printLine, settle } from './output.ts';
import { count, createProgress } from './progress.ts';

interface Options extends ConnectionOptions {
  readonly log?: string;
}

export function registerAuditFsck(audit: Command): void {
  withConnection(audit.command('fsck').description('check every row that the hub stores against what was receipted'))
    .option('--log <log>', 'only this log')
    .addHelpText(
      'after',
      `
The work is done at the hub, at the speed of its database. To believe nobody, use \`weir audit verify --log LOG\`.
Exit status: 0 all sound, 1 a fault was found.`,
    )
    .action((options: Options) => settle(options.json === true, () => fsck(options)));
}

async function fsck(options: Options): Promise<number> {
  const client = (await connect(options))(AuditLogService);
  const progress = createProgress('checking');
  const logs: FsckLog[] = [];
  let summary: FsckSummary | undefined;
  try {
    for await (const { step } of client.fsck({ log: options.log ?? '' })) {
      if (step.case === 'progress') progress.at(Number(step.value.rows), Number(step.value.total), step.value.log);
      else if (step.case === 'summary') summary = step.value;
      else if (step.case === 'log') {
        // Sound logs are many; for people only faults and the sum are worth a line.
        if (options.json === true || step.value.faults.length > 0) logs.push(step.value);
        if (options.json !== true && step.value.faults.length > 0) {
          progress.clear();
          tell(step.value);
        }
      }
    }
  } finally {
    progress.clear();
  }
  if (summary === undefined) throw new WeirError('unavailable', 'the hub ended before it had checked everything');
  if (options.json === true) {
    printJson({
      sound: summary.faulty === 0n,
      logs: logs.map(logJson),
      summary: { logs: Number(summary.logs), rows: Number(summary.rows), faulty: Number(summary.faulty) },
    });
  } else {
    printLine(
      `${count(summary.logs)} log${summary.logs === 1n ? '' : 's'}, ${count(summary.rows)} rows: ${summary.faulty === 0n ? 'every root derived again, all sound' : `${count(summary.faulty)} with faults`}`,
    );
  }
  return summary.faulty === 0n ? EXIT.done : EXIT.failed;
}

function tell({ log, rows, faults }: FsckLog): void {
  printLine(
    `FAULT  ${printable(log)}: ${count(rows)} rows, ${count(faults.length)} fault${faults.length === 1 ? '' : 's'}`,
  );
  for (const { index, what } of faults) {
    printLine(`       ${index < 0n ? 'the log' : `row ${index}`}: ${printable(what)}`);
  }
}

function logJson({ log, rows, moved, root, faults }: FsckLog): object {
  return {
    log,
    rows: Number(rows),
    moved: Number(moved),
    root,
    faults: faults.map(({ index, what }) => ({ index: Number(index), what })),
  };
}
