// `weir hub run`: the hub in the foreground, until it is told to stop.

import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../load-config.ts';
import { hubConfigSchema, HUB_VARIABLES } from '../config.ts';
import { readSmallFile } from '../io/private-file.ts';
import { readCount, weirHome } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { printJson, settle } from './output.ts';

/** A stop that takes longer than this is cut short. */
const STOP_MS = 9_000;

interface RunOptions {
  readonly home?: string;
  readonly config?: string;
  readonly adminPort?: number;
  readonly federationPort?: number;
  readonly joinPort?: number;
  readonly printConfig?: boolean;
  readonly json?: boolean;
}

export function registerHubRun(hub: Command): void {
  hub
    .command('run')
    .description('run the hub in the foreground; logs go to standard output as JSON lines')
    .option('--home <dir>', 'folder of its state (default: hub below WEIR_HOME)')
    .option('--config <file>', 'configuration (default: hub.json in the home)')
    .option('--admin-port <n>', 'port of console, CLI and scripts', readCount)
    .option('--federation-port <n>', 'port of the spokes', readCount)
    .option('--join-port <n>', 'port where spokes join', readCount)
    .option('--print-config', 'print the effective configuration and where each value came from, then stop')
    .option('--json', 'errors as JSON')
    .action((options: RunOptions) => settle(options.json === true, () => run(options)));
}

async function run(options: RunOptions): Promise<number> {
  const home = resolve(options.home ?? join(weirHome(), 'hub'));
  const file = options.config ?? join(home, 'hub.json');
  const given: Record<string, string> = {};
  if (options.adminPort !== undefined) given['WEIR_HUB_ADMIN_PORT'] = String(options.adminPort);
  if (options.federationPort !== undefined) given['WEIR_HUB_FEDERATION_PORT'] = String(options.federationPort);
  if (options.joinPort !== undefined) given['WEIR_HUB_JOIN_PORT'] = String(options.joinPort);
  const { value: config, origins } = loadConfig(hubConfigSchema, {
    text: await readSmallFile(file),
    file,
    env: { ...process.env, ...given },
    variables: HUB_VARIABLES,
  });
  if (options.printConfig === true) {
    printJson({ home, config, origins: Object.fromEntries(origins) });
    return EXIT.done;
  }

  const stop = Promise.withResolvers<string>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.resolve(signal));
  // Loaded here alone: every other command starts in half the time without the whole hub.
  const { startHub } = await import('../main.ts');
  const hub = await startHub({ config, home, logStream: process.stdout, env: process.env });
  process.stderr.write(
    `weir hub: admin ${hub.addresses.adminUrl}, spokes ${hub.addresses.federation.port}, join ${hub.addresses.join.port}; Ctrl-C stops it\n`,
  );
  await stop.promise;
  const late = setTimeout(() => {
    process.stderr.write('weir hub: stopping took too long and was cut short\n');
    process.exit(EXIT.failed);
  }, STOP_MS);
  // A second Ctrl-C means now.
  process.once('SIGINT', () => process.exit(EXIT.failed));
  await hub.close();
  clearTimeout(late);
  return EXIT.done;
}
