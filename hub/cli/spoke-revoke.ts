// `weir spoke revoke`: denies a spoke from now on.

import type { Command } from 'commander';
import { RevokeResponseSchema, SpokeService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { messageJson, printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly reason: string;
}

export function registerSpokeRevoke(spoke: Command): void {
  withConnection(
    spoke.command('revoke').description('deny a spoke: its certificates and open invitations stop working at once'),
  )
    .argument('<unit>')
    .argument('<spoke>')
    .option('--reason <text>', 'why, for the record', '')
    .action((unit: string, name: string, options: Options) =>
      settle(options.json === true, async () => {
        const revoked = await (await connect(options))(SpokeService).revoke({
          unit,
          spoke: name,
          reason: options.reason,
        });
        if (options.json === true) printJson(messageJson(RevokeResponseSchema, revoked));
        else printLine(`spoke ${name} of ${unit} is denied; ${revoked.certificates} certificate(s) revoked`);
      }),
    );
}
