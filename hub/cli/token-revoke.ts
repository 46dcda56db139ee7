// `weir token revoke`: a unit's token stops working as soon as its spokes have the next bundle.

import type { Command } from 'commander';
import { TokenSchema, TokenService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { messageJson, printJson, printLine, settle } from './output.ts';

export function registerTokenRevoke(token: Command): void {
  withConnection(token.command('revoke').description('revoke a token').argument('<id>')).action(
    (id: string, options: ConnectionOptions) =>
      settle(options.json === true, async () => {
        const { token: revoked } = await (await connect(options))(TokenService).revokeToken({ id });
        if (options.json === true)
          printJson({ token: revoked === undefined ? null : messageJson(TokenSchema, revoked) });
        else printLine(`token ${id} of ${revoked?.unit ?? ''} is revoked; connected spokes learn it within seconds`);
      }),
  );
}
