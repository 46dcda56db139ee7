#!/usr/bin/env node
// The one executable: `weir <object> <verb>`. Commands live with the side that they belong to, and only the one that is asked for
// is loaded.

import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { hubCommands } from './hub/cli/index.ts';
import { registerCompletion } from './spoke/cli/completion.ts';
import { SPOKE_COMMANDS } from './spoke/cli/index.ts';

// Most of a short command's time is the compiler's: what it made is kept, in the user's own folder, and nothing is lost without.
enableCompileCache(join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'weir', 'compile'));

const OBJECTS: Readonly<Record<string, string>> = {
  hub: 'the control plane',
  unit: 'business units: the tenants',
  spoke: 'registry proxies of a unit',
  floor: 'the policy that every unit has',
  overlay: "a unit's own, tightening policy",
  intel: 'datasets for signals',
  exceptions: 'signed lowerings of rules',
  bundle: 'what spokes activate',
  token: "tokens of a unit's clients",
  fleet: 'spokes and their state',
  audit: 'recorded decisions',
  policy: 'work on policy, without a hub',
};

const program = new Command('weir')
  .description('Install-path firewall: one signed policy floor, enforced locally, recorded everywhere.')
  .version('0.1.0')
  .showHelpAfterError('run with --help to see what is possible')
  // Whatever commander itself objects to is wrong use.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
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

const commands = [
  ...hubCommands({
    why: async (code) => (await import('./spoke/cli/why-at-spokes.ts')).whyAtSpokes(code),
    prove: async (row) => (await import('./spoke/cli/audit-at-spokes.ts')).proveAtSpokes(row),
    logsAt: async (folder) => (await import('./spoke/cli/audit-at-spokes.ts')).spokeLogsAt(folder),
  }),
  ...SPOKE_COMMANDS,
];
const [first = '', second = ''] = process.argv.slice(2);
const ofFirst = commands.filter(({ words }) => words[0] === first);
const asked = ofFirst.filter(({ words }) => words.length === 1 || words[1] === second);
// Help, completion and slips of the pen need to know them all.
const wanted = [asked, ofFirst].find((list) => list.length > 0) ?? commands;
for (const entry of wanted) await entry.add(entry.words.length === 1 ? program : objectCommand(entry.words[0]));
registerCompletion(program);
await program.parseAsync();

function objectCommand(name: string): Command {
  return (
    program.commands.find((command) => command.name() === name) ??
    program.command(name).description(OBJECTS[name] ?? '')
  );
}
