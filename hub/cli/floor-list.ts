// `weir floor list`: published floors, newest first.

import type { Command } from 'commander';
import { PolicyService, PolicyVersionSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printTable, settle, shortDigest } from './output.ts';

interface Options extends ConnectionOptions {
  readonly limit: number;
}

export function registerFloorList(floor: Command): void {
  withConnection(floor.command('list').description('published floors, newest first'))
    .option('--limit <n>', 'at most this many', readCount, 50)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const { floors, nextCursor } = await (await connect(options))(PolicyService).listFloors({
          page: { size: options.limit, cursor: '' },
        });
        if (options.json === true) {
          printJson({ floors: floors.map((one) => messageJson(PolicyVersionSchema, one)), next_cursor: nextCursor });
          return;
        }
        printTable(
          ['VERSION', 'RULES', 'SOURCES', 'PUBLISHED', 'BY', 'NOTE'],
          floors.map((one) => [
            String(one.version),
            String(one.rules),
            shortDigest(one.digest?.value),
            instant(one.publishedAtMs),
            one.publishedBy,
            one.note,
          ]),
          'no floor yet; publish one with: weir floor publish FOLDER',
        );
      }),
    );
}
