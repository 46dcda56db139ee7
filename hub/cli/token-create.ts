// `weir token create`: a token for the clients of a unit, shown once.

import type { Command } from 'commander';
import { TokenSchema, TokenService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, readDuration, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit: string;
  readonly principal: string;
  readonly group: readonly string[];
  readonly ttl: number;
}

export function registerTokenCreate(token: Command): void {
  withConnection(token.command('create').description('a token for clients of a unit, shown once'))
    .requiredOption('--unit <unit>', 'unit whose spokes accept it')
    .requiredOption('--principal <name>', 'who uses it, e.g. ci-main')
    .option('--group <group...>', 'groups that rules may ask for', [])
    .option('--ttl <time>', 'life, e.g. 90d (default: no expiry)', readDuration, 0)
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const { token: made, secret } = await (await connect(options))(TokenService).createToken({
          unit: options.unit,
          principal: options.principal,
          groups: [...options.group],
          ttlS: BigInt(options.ttl),
        });
        if (options.json === true) {
          printJson({ token: made === undefined ? null : messageJson(TokenSchema, made), secret });
          return;
        }
        printLine(
          `token ${made?.id ?? ''} for ${options.principal} of ${options.unit}, expires ${instant(made?.expiresAtMs ?? 0n)}; shown once:\n`,
        );
        printLine(`  ${secret}`);
      }),
    );
}
