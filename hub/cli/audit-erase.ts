// `weir audit erase`: forgets who is behind a pseudonym. Rows, roots and proofs stay as they are.

import type { Command } from 'commander';
import { AuditActorService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { confirm } from './confirm.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly unit: string;
  readonly yes?: boolean;
}

export function registerAuditErase(audit: Command): void {
  withConnection(audit.command('erase').description('forget who is behind a pseudonym; every proof stays valid'))
    .argument('<actor>', 'name as in tokens, or pseudonym (h:…) as in rows')
    .requiredOption('--unit <unit>', 'unit that the actor belongs to')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      '\nIt cannot be taken back. Revoke tokens of the actor first: a good one would name it again.',
    )
    .action((actor: string, options: Options) =>
      settle(options.json === true, async () => {
        await confirm(`Forget for ever who ${actor} of ${options.unit} is?`, options.yes === true);
        const client = (await connect(options))(AuditActorService);
        const { actors } = await client.eraseActor({ unit: options.unit, actor });
        if (options.json === true) printJson({ unit: options.unit, actors });
        else {
          printLine(`forgotten; rows keep ${actors.length === 1 ? 'the pseudonym' : `${actors.length} pseudonyms`}:`);
          for (const pseudonym of actors) printLine(`  ${pseudonym}`);
        }
      }),
    );
}
