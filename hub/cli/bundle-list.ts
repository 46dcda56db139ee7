// `weir bundle list`: published bundles, newest first.

import type { Command } from 'commander';
import { BundleSummarySchema, PolicyService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printTable, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit?: string;
  readonly limit: number;
}

export function registerBundleList(bundle: Command): void {
  withConnection(bundle.command('list').description('published bundles, newest first'))
    .option('--unit <unit>', 'only of this unit')
    .option('--limit <n>', 'at most this many', readCount, 50)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const { bundles, nextCursor } = await (await connect(options))(PolicyService).listBundles({
          unit: options.unit ?? '',
          page: { size: options.limit, cursor: '' },
        });
        if (options.json === true) {
          printJson({ bundles: bundles.map((one) => messageJson(BundleSummarySchema, one)), next_cursor: nextCursor });
          return;
        }
        printTable(
          ['UNIT', 'EPOCH', 'VERSION', 'ISSUED', 'EXPIRES', 'LAYERS', 'DIGEST'],
          bundles.map((one) => [
            one.unit,
            String(one.bundle?.epoch ?? 0n),
            String(one.bundle?.version ?? 0n),
            instant(one.issuedAtMs),
            instant(one.expiresAtMs),
            String(one.layers.length),
            one.bundle?.digest?.value ?? '',
          ]),
          'no bundle yet; publish a floor first',
        );
      }),
    );
}
