// `weir audit tail`: decisions as the hub commits them.

import type { Command } from 'commander';
import { AuditQueryService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, readCount, withConnection } from './connection.ts';
import { printLine, settle } from './output.ts';
import { filterOf, type RowFilterOptions, withRowFilter } from './row-filter.ts';
import { rowJson, rowLine, rowOf } from './row-line.ts';

interface Options extends RowFilterOptions {
  readonly backlog: number;
  readonly count?: number;
}

export function registerAuditTail(audit: Command): void {
  withConnection(withRowFilter(audit.command('tail').description('decisions as they are committed; Ctrl-C ends it')))
    .option('--backlog <n>', 'also this many of the newest rows first, at most 1000', readCount, 10)
    .option('--count <n>', 'stop after this many rows', readCount)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const stop = new AbortController();
        process.once('SIGINT', () => stop.abort());
        process.once('SIGTERM', () => stop.abort());
        let left = options.count ?? Number.POSITIVE_INFINITY;
        if (left <= 0) return;
        const client = (await connect(options))(AuditQueryService);
        try {
          for await (const { row } of client.tail(
            { filter: filterOf(options), backlog: options.backlog },
            { signal: stop.signal },
          )) {
            if (row === undefined) continue;
            printLine(options.json === true ? JSON.stringify(rowJson(row)) : rowLine(rowOf(row)));
            left -= 1;
            if (left === 0) return;
          }
        } catch (thrown) {
          // Told to stop: that is how a tail ends.
          if (stop.signal.aborted) return;
          throw thrown;
        }
        throw new WeirError('unavailable', 'the hub ended the stream', { retry: 'now', next: 'run it again' });
      }),
    );
}
