// `weir spoke invite`: a one-time join token, and the line that uses it.

import type { Command } from 'commander';
import { InviteResponseSchema, SpokeService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readDuration, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit: string;
  readonly name: string;
  readonly ttl: number;
  readonly replace?: boolean;
}

export function registerSpokeInvite(spoke: Command): void {
  withConnection(spoke.command('invite').description('let one spoke join a unit, once'))
    .requiredOption('--unit <unit>', 'unit that the spoke belongs to')
    .requiredOption('--name <spoke>', 'name of the spoke')
    .option('--ttl <time>', 'how long the invitation lasts, e.g. 10m, 2h', readDuration, 600)
    .option('--replace', 'the new identity may replace a live one of this name')
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const invitation = await (await connect(options))(SpokeService).invite({
          unit: options.unit,
          spoke: options.name,
          ttlS: options.ttl,
          replace: options.replace ?? false,
        });
        if (options.json === true) {
          printJson(messageJson(InviteResponseSchema, invitation));
          return;
        }
        printLine(`join token, shown once, good until ${instant(invitation.expiresAtMs)}:\n`);
        printLine(`  ${invitation.joinToken}\n`);
        printLine('on the machine of the spoke:\n');
        printLine(
          `  WEIR_JOIN_TOKEN=… weir spoke init --name ${options.name} --hub ${invitation.joinAddresses[0] ?? 'HUB:7444'} --ca-pin ${invitation.caPin}`,
        );
      }),
    );
}
