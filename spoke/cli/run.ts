// `weir spoke run`: runs the spoke in the foreground until it is told to stop.

import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { LOG_LEVELS } from '@weir/shared/telemetry/logger.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { workersOf } from '../config.ts';
import { EXIT, settle } from './output.ts';
import { loadSpokeConfig, spokeHome } from './spoke-home.ts';

export function registerRun(spoke: Command): void {
  spoke
    .command('run')
    .description('enforce: serve the registries, judge, record')
    .option('--home <dir>', 'its home, as `weir spoke init` made it')
    .option('--log-level <level>', LOG_LEVELS.join(', '), 'info')
    .option('--json', 'errors as JSON (the log always is)')
    .action((options: { home?: string; logLevel: string; json?: boolean }) =>
      settle(options.json === true, async () => {
        const home = spokeHome(options.home);
        const level = LOG_LEVELS.find((known) => known === options.logLevel);
        if (level === undefined)
          throw new WeirError('invalid_argument', `${options.logLevel} is no log level`, {
            next: `choose one of ${LOG_LEVELS.join(', ')}`,
          });
        // Loaded here alone: every other command starts in half the time without the whole spoke.
        const { startSpoke } = await import('../main.ts');
        const config = loadSpokeConfig(home);
        const running = await startSpoke({
          home,
          config,
          workers: workersOf(config, process.env['WEIR_WORKERS'], availableParallelism()),
          logStream: process.stdout,
          logLevel: level,
          env: process.env,
        });
        await new Promise<void>((resolve) => {
          for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
        });
        await running.close();
        return EXIT.ok;
      }),
    );
}
