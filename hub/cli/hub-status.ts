// `weir hub status`: whether the hub works.

import type { Command } from 'commander';
import { CheckResponseSchema, HealthService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { instant, messageJson, printFields, printJson, settle } from './output.ts';

export function registerHubStatus(hub: Command): void {
  withConnection(hub.command('status').description('whether the hub works')).action((options: ConnectionOptions) =>
    settle(options.json === true, async () => {
      const found = await (await connect(options))(HealthService).check({});
      if (options.json === true) printJson(messageJson(CheckResponseSchema, found));
      else {
        printFields([
          ['version', found.version],
          ['workspace', found.workspace],
          ['time', instant(found.nowMs)],
          ['database', found.databaseOk ? 'ok' : 'does not answer'],
          ['floor', found.floorVersion === 0n ? 'none published' : `version ${found.floorVersion}`],
        ]);
      }
      return found.databaseOk ? EXIT.done : EXIT.failed;
    }),
  );
}
