// `weir audit copy`: how far each log is in each write-once copy. Only what was read back from the copy counts.

import type { Command } from 'commander';
import { AuditCopyService, type LogCopy } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { instant, printJson, printNote, printTable, settle } from './output.ts';
import { count } from './progress.ts';

const PAGE_COPIES = 1000;

interface Options extends ConnectionOptions {
  readonly log?: string;
  readonly limit: number;
}

export function registerAuditCopy(audit: Command): void {
  withConnection(audit.command('copy').description('how far the write-once copies are'))
    .option('--log <log>', 'only this log')
    .option('--limit <n>', 'at most this many lines', readCount, 1000)
    .addHelpText(
      'after',
      '\nA copy is set up in the configuration of the hub (audit.copy); verify one with `weir audit verify`.',
    )
    .action((options: Options) => settle(options.json === true, () => copies(options)));
}

async function copies(options: Options): Promise<number> {
  const client = (await connect(options))(AuditCopyService);
  const found: LogCopy[] = [];
  let cursor = '';
  do {
    const page = await client.listCopies({
      log: options.log ?? '',
      page: { size: Math.min(PAGE_COPIES, options.limit - found.length), cursor },
    });
    found.push(...page.copies);
    cursor = page.nextCursor;
  } while (cursor !== '' && found.length < options.limit);
  if (options.json === true) printJson({ copies: found.map(copyJson), next_cursor: cursor });
  else {
    printTable(
      ['COPY', 'LOG', 'SIZE', 'COPIED', 'VERIFIED', 'BEHIND', 'UPDATED'],
      found.map(({ target, log, size, copied, verified, updatedAtMs }) => [
        target,
        log,
        count(size),
        count(copied),
        count(verified),
        count(size > verified ? size - verified : 0n),
        instant(updatedAtMs),
      ]),
      'nothing was copied yet; set audit.copy in the configuration of the hub',
    );
    if (cursor !== '') printNote('… there are more; ask with a larger --limit');
  }
  return EXIT.done;
}

function copyJson({ target, log, size, copied, verified, updatedAtMs }: LogCopy): object {
  return {
    copy: target,
    log,
    size: Number(size),
    copied: Number(copied),
    verified: Number(verified),
    updated_at: instant(updatedAtMs),
  };
}
