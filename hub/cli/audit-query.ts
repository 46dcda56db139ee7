// `weir audit query`: recorded decisions, newest first unless asked otherwise.

import type { Command } from 'commander';
import { AuditQueryService, type StoredRow } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, readCount, withConnection } from './connection.ts';
import { printJson, printLine, settle } from './output.ts';
import { filterOf, type RowFilterOptions, withRowFilter } from './row-filter.ts';
import { rowJson, rowLine, rowOf } from './row-line.ts';

const PAGE_ROWS = 1000;

interface Options extends RowFilterOptions {
  readonly limit: number;
  readonly cursor: string;
  readonly oldestFirst?: boolean;
}

export function registerAuditQuery(audit: Command): void {
  withConnection(withRowFilter(audit.command('query').description('recorded decisions, newest first')))
    .option('--limit <n>', 'at most this many rows', readCount, 100)
    .option('--cursor <cursor>', 'go on from where an earlier answer ended', '')
    .option('--oldest-first', 'oldest first')
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const client = (await connect(options))(AuditQueryService);
        const rows: StoredRow[] = [];
        let { cursor } = options;
        do {
          const page = await client.query({
            filter: filterOf(options),
            page: { size: Math.min(PAGE_ROWS, options.limit - rows.length), cursor },
            oldestFirst: options.oldestFirst ?? false,
          });
          rows.push(...page.rows);
          cursor = page.nextCursor;
        } while (cursor !== '' && rows.length < options.limit);
        if (options.json === true) {
          printJson({ rows: rows.map(rowJson), next_cursor: cursor });
          return;
        }
        for (const stored of rows) printLine(rowLine(rowOf(stored)));
        if (rows.length === 0) printLine('no row matches');
        else if (cursor !== '') printLine(`… there are more; go on with --cursor ${cursor}`);
      }),
    );
}
