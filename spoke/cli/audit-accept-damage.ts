// `weir audit accept-damage`: an operator has looked at a damaged audit log and lets the spoke serve again. What is accepted is
// exactly what is shown; damage found later needs another look.

import { closeSync, existsSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { acceptDamage, DAMAGE_FILE, type NotedDamage, readDamages } from '../audit/damage-note.ts';
import { viewLedgerDisk } from '../io/ledger-disk.ts';
import { EXIT, printable, printJson, settle } from './output.ts';
import { loadSpokeConfig, spokeHome } from './spoke-home.ts';
import { logFoldersIn } from './spoke-logs.ts';

interface Options {
  readonly home?: string;
  readonly worker?: string;
  readonly who?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function registerAuditAcceptDamage(audit: Command): void {
  audit
    .command('accept-damage')
    .description('on a spoke: say that the damage to its audit log was looked at, so that it serves again')
    .option('--home <dir>', 'its home')
    .option('--worker <name>', 'only of this worker (default: all)')
    .option('--who <name>', 'who accepts it, for the record (default: the user)')
    .option('--yes', 'do not ask')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nKeep the damaged folder as evidence first. The acceptance is recorded as a row.')
    .action((options: Options) => settle(options.json === true, () => accept(options)));
}

async function accept(options: Options): Promise<number> {
  const home = spokeHome(options.home);
  loadSpokeConfig(home);
  const workers = [...new Set(logFoldersIn(home).map(({ worker }) => worker))].filter(
    (name) => options.worker === undefined || name === options.worker,
  );
  const damaged = workers.filter((worker) => existsSync(join(home, 'audit', worker, DAMAGE_FILE)));
  if (damaged.length === 0) {
    throw new WeirError('not_found', `no audit log in ${home} has damage to accept`, {
      next: 'see `weir audit spool`, and `weir audit verify` for a closer look',
    });
  }
  const noted = await Promise.all(
    damaged.map(async (worker) => ({
      worker,
      damages: await readDamages(viewLedgerDisk(join(home, 'audit', worker))),
    })),
  );
  if (options.json !== true) for (const { worker, damages } of noted) for (const each of damages) show(worker, each);
  await confirm(options.yes === true);
  const who = options.who ?? userInfo().username;
  const at = new Date().toISOString();
  for (const { worker } of noted) {
    const folder = join(home, 'audit', worker);
    const { load } = viewLedgerDisk(folder);
    await acceptDamage({ load, replace: (name, bytes) => replaceIn(folder, name, bytes) }, who, at);
  }
  if (options.json === true) printJson({ accepted: noted, who, at });
  else process.stdout.write(`accepted by ${printable(who)}; a running spoke takes it up within a second\n`);
  return EXIT.ok;
}

/** Durable when it resolves, and whole under its name; the spoke may be looking for it meanwhile. */
async function replaceIn(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(folder, `${name}.${process.pid}`);
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, join(folder, name));
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
  return Promise.resolve();
}

function show(worker: string, { log, what, file, offset, index, at }: NotedDamage): void {
  const where = log === '' ? worker : log;
  process.stdout.write(
    `${printable(where)}: ${what.replaceAll('_', ' ')} in ${printable(file)} at offset ${offset}, from row ${index} on, found ${at}\n`,
  );
}

async function confirm(yes: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new WeirError('invalid_argument', 'nobody can be asked here whether the damage was looked at', {
      next: 'run it on a terminal, or with --yes',
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(
      'Rows named above may be lost here. Was it looked at, and shall the spoke go on? [y/N] ',
    );
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    terminal.close();
  }
  throw new WeirError('cancelled', 'nothing was done');
}
