// `weir token list`: tokens of units, newest first, never their secrets.

import type { Command } from 'commander';
import { TokenSchema, TokenService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printTable, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit?: string;
  readonly limit: number;
}

export function registerTokenList(token: Command): void {
  withConnection(token.command('list').description('tokens, newest first; secrets are not kept'))
    .option('--unit <unit>', 'only of this unit')
    .option('--limit <n>', 'at most this many', readCount, 100)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const { tokens, nextCursor } = await (await connect(options))(TokenService).listTokens({
          unit: options.unit ?? '',
          page: { size: options.limit, cursor: '' },
        });
        if (options.json === true) {
          printJson({ tokens: tokens.map((one) => messageJson(TokenSchema, one)), next_cursor: nextCursor });
          return;
        }
        printTable(
          ['ID', 'UNIT', 'PRINCIPAL', 'GROUPS', 'CREATED', 'EXPIRES', 'STATE'],
          tokens.map((one) => [
            one.id,
            one.unit,
            one.principal,
            one.groups.join(','),
            instant(one.createdAtMs),
            instant(one.expiresAtMs),
            one.revoked ? 'revoked' : 'active',
          ]),
          'no tokens yet; make one with: weir token create --unit UNIT --principal NAME',
        );
      }),
    );
}
