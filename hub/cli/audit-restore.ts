// `weir audit restore`: brings rows back from the write-once copies into the hub's database, as far as receipts vouch for them.

import type { Command } from 'commander';
import { AuditCopyService, type RestoreResponse } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { confirm } from './confirm.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { printable, printJson, printLine, settle } from './output.ts';
import { count, createProgress } from './progress.ts';

interface Options extends ConnectionOptions {
  readonly log?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function registerAuditRestore(audit: Command): void {
  withConnection(audit.command('restore').description("rows from the write-once copies into the hub's database"))
    .option('--log <log>', 'only this log')
    .option('--dry-run', 'look only: what would be added, and whether the copies are sound')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Rows that the database has are compared, never replaced. It can be interrupted and run again.
Exit status: 0 everything restored, 1 a log could not be (its line says why).`,
    )
    .action((options: Options) => settle(options.json === true, () => restore(options)));
}

async function restore(options: Options): Promise<number> {
  const what = options.log ?? 'every log that is in a copy';
  if (options.dryRun !== true) await confirm(`Bring back the missing rows of ${what}?`, options.yes === true);
  const client = (await connect(options))(AuditCopyService);
  const progress = createProgress(options.dryRun === true ? 'looking' : 'restoring');
  const logs: RestoreResponse[] = [];
  try {
    for await (const step of client.restore({ log: options.log ?? '', dryRun: options.dryRun ?? false })) {
      progress.at(Number(step.rows), Number(step.total), step.log);
      if (!step.done) continue;
      logs.push(step);
      if (options.json === true) continue;
      progress.clear();
      if (step.fault !== '') printLine(`FAULT  ${printable(step.log)}: ${printable(step.fault)}`);
      else if (step.added > 0n)
        printLine(
          `${printable(step.log)}: ${count(step.added)} of ${count(step.total)} rows ${options.dryRun === true ? 'are missing' : 'added'}`,
        );
    }
  } finally {
    progress.clear();
  }
  const faulty = logs.filter(({ fault }) => fault !== '');
  const added = logs.reduce((sum, step) => sum + step.added, 0n);
  if (options.json === true) {
    printJson({
      dry_run: options.dryRun ?? false,
      added: Number(added),
      logs: logs.map(({ log, rows, total, added: own, fault }) => ({
        log,
        rows: Number(rows),
        total: Number(total),
        added: Number(own),
        fault,
      })),
    });
  } else {
    const verb = options.dryRun === true ? 'missing' : 'added';
    printLine(
      `${count(logs.length)} log${logs.length === 1 ? '' : 's'}, ${count(added)} rows ${verb}${faulty.length === 0 ? '' : `; ${count(faulty.length)} could not be restored`}`,
    );
  }
  return faulty.length === 0 ? EXIT.done : EXIT.failed;
}
