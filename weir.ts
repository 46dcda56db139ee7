#!/usr/bin/env node
// The one executable: `weir <object> <verb>`. Commands live with the side that they belong to.

import { Command } from 'commander';
import { registerHubCommands } from './hub/cli/index.ts';
import { proveAtSpokes, spokeLogsAt } from './spoke/cli/audit-at-spokes.ts';
import { registerSpokeCommands } from './spoke/cli/index.ts';
import { whyAtSpokes } from './spoke/cli/why-at-spokes.ts';

const program = new Command('weir')
  .description('Install-path firewall: one signed policy floor, enforced locally, recorded everywhere.')
  .version('0.1.0')
  .showHelpAfterError('run with --help to see what is possible')
  .addHelpText(
    'after',
    `
Exit status: 0 done, 1 failed, 2 wrong use, 3 refused, 4 not found, 5 not reachable.
Every command takes --json. WEIR_HOME (default .weir) is where commands look for a hub and for spokes.`,
  );
// Whoever reads may have enough: that is no error of the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.stdout.destroy();
});
registerHubCommands(program, { why: whyAtSpokes, prove: proveAtSpokes, logsAt: spokeLogsAt });
registerSpokeCommands(program);
await program.parseAsync();
