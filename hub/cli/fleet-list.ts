// `weir fleet list`: every spoke, what it runs, where its logs stand and what is wrong with it.

import type { Command } from 'commander';
import { FleetViewService, type Spoke, type SpokeLog, SpokeSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printLine, printTable, settle } from './output.ts';
import { count, duration } from './progress.ts';

/** Rows behind which a log is in trouble and not merely on its way. */
const LAG_ROWS = 1000n;

interface Options extends ConnectionOptions {
  readonly unit?: string;
  readonly limit: number;
  readonly logs?: boolean;
}

export function registerFleetList(fleet: Command): void {
  withConnection(fleet.command('list').description('every spoke, what it runs and where its logs stand'))
    .option('--unit <unit>', 'only of this unit')
    .option('--limit <n>', 'at most this many', readCount, 1000)
    .option('--logs', 'only the logs')
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
        if (options.logs !== true) {
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
          if (spokes.length === 0) return;
          printLine('');
        }
        printTable(
          ['LOG', 'SIZE', 'RECEIPTED', 'LAG', 'LAST CHECKPOINT', 'STATE', 'ALARM'],
          spokes.flatMap((one) => one.logs).map(logCells),
          'no log has reached the hub yet',
        );
      }),
    );
}

function logCells(log: SpokeLog): readonly string[] {
  return [
    log.log,
    count(log.nextIndex),
    count(log.receipted),
    count(lagOf(log)),
    log.receiptedAtMs === 0n ? '-' : `${instant(log.receiptedAtMs)} (${age(log.receiptedAtMs)} ago)`,
    log.state === '' ? 'not at the hub' : `${log.state}${log.reason === '' ? '' : `: ${log.reason}`}`,
    log.alarms.length === 0 ? '-' : log.alarms.join(', ').replaceAll('_', ' '),
  ];
}

/** Rows that the spoke has and no receipt covers. */
function lagOf({ nextIndex, receipted }: SpokeLog): bigint {
  return nextIndex - receipted;
}

function age(ms: bigint): string {
  return duration((Date.now() - Number(ms)) / 1000);
}

function running({ active, wanted }: Spoke): string {
  if (active === undefined) return wanted === undefined ? '-' : `none, wants ${wanted.version}`;
  const current = active.digest?.value === wanted?.digest?.value;
  return current || wanted === undefined ? String(active.version) : `${active.version}, wants ${wanted.version}`;
}

function trouble(spoke: Spoke): string {
  const lag = spoke.logs.reduce((sum, log) => sum + lagOf(log), 0n);
  const alarms = [...new Set([...spoke.alarms, ...spoke.logs.flatMap((log) => log.alarms)])];
  return [
    spoke.nack === '' ? '' : `refused: ${spoke.nack}${spoke.nackDetail === '' ? '' : ` (${spoke.nackDetail})`}`,
    spoke.version !== '' && !spoke.spoolHealthy ? 'spool latched' : '',
    lag > LAG_ROWS ? `${count(lag)} rows behind` : '',
    alarms.length === 0 ? '' : `ALARM: ${alarms.join(', ').replaceAll('_', ' ')} (weir audit alarms)`,
  ]
    .filter((text) => text !== '')
    .join('; ');
}
