// `weir hub events`: joins, refusals and revocations, newest first.

import type { Command } from 'commander';
import { EventService, HubEventSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printTable, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit?: string;
  readonly alarms?: boolean;
  readonly limit: number;
}

export function registerHubEvents(hub: Command): void {
  withConnection(hub.command('events').description('what happened at the hub, newest first'))
    .option('--unit <unit>', 'only of this unit')
    .option('--alarms', 'only what someone should look at')
    .option('--limit <n>', 'at most this many', readCount, 50)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const { events, nextCursor } = await (await connect(options))(EventService).listEvents({
          unit: options.unit ?? '',
          alarms: options.alarms ?? false,
          page: { size: options.limit, cursor: '' },
        });
        if (options.json === true) {
          printJson({
            events: events.map((event) => ({
              ...(messageJson(HubEventSchema, event) as object),
              detail: JSON.parse(event.detail) as unknown,
            })),
            next_cursor: nextCursor,
          });
          return;
        }
        printTable(
          ['TIME', 'ALARM', 'EVENT', 'UNIT', 'SPOKE', 'DETAIL'],
          events.map(({ atMs, kind, alarm, unit, spoke, detail }) => [
            instant(atMs),
            alarm ? 'yes' : '',
            kind,
            unit,
            spoke,
            detail,
          ]),
          'nothing has happened yet',
        );
      }),
    );
}
