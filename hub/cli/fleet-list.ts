// `weir fleet list`: every spoke, what it runs and what is wrong with it.

import type { Command } from 'commander';
import { FleetViewService, type Spoke, SpokeSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printTable, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit?: string;
  readonly limit: number;
}

export function registerFleetList(fleet: Command): void {
  withConnection(fleet.command('list').description('every spoke and what it runs'))
    .option('--unit <unit>', 'only of this unit')
    .option('--limit <n>', 'at most this many', readCount, 1000)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const { spokes, nextCursor } = await (await connect(options))(FleetViewService).listSpokes({
          unit: options.unit ?? '',
          page: { size: options.limit, cursor: '' },
        });
        if (options.json === true) {
          printJson({ spokes: spokes.map((one) => messageJson(SpokeSchema, one)), next_cursor: nextCursor });
          return;
        }
        printTable(
          ['UNIT', 'SPOKE', 'SITE', 'CONNECTED', 'BUNDLE', 'STALENESS', 'LAST SEEN', 'TROUBLE'],
          spokes.map((one) => [
            one.unit,
            one.name,
            one.site,
            one.connected ? 'yes' : 'no',
            running(one),
            one.staleness === '' ? '-' : one.staleness,
            instant(one.lastSeenMs),
            trouble(one),
          ]),
          'no spoke has joined yet; invite one with: weir spoke invite --unit UNIT --name NAME',
        );
      }),
    );
}

function running({ active, wanted }: Spoke): string {
  if (active === undefined) return wanted === undefined ? '-' : `none, wants ${wanted.version}`;
  const current = active.digest?.value === wanted?.digest?.value;
  return current || wanted === undefined ? String(active.version) : `${active.version}, wants ${wanted.version}`;
}

function trouble(spoke: Spoke): string {
  const lag = spoke.logs.reduce((sum, log) => sum + log.nextIndex - log.stored, 0n);
  return [
    spoke.nack === '' ? '' : `refused: ${spoke.nack}${spoke.nackDetail === '' ? '' : ` (${spoke.nackDetail})`}`,
    spoke.version !== '' && !spoke.spoolHealthy ? 'spool latched' : '',
    lag > 1000n ? `${lag} rows behind` : '',
  ]
    .filter((text) => text !== '')
    .join('; ');
}
