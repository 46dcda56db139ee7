// `weir spoke status`: what a running spoke says of itself.

import type { Command } from 'commander';
import { EXIT, printFields, printJson, settle } from './output.ts';
import { askSpoke, spokeHome } from './spoke-home.ts';

interface Status {
  readonly ready: boolean;
  readonly unit: string;
  readonly spoke: string;
  readonly mode: string;
  readonly staleness: string;
  readonly bundle: { readonly digest: string; readonly epoch: number; readonly version: number } | null;
  readonly nack: { readonly code: string; readonly detail: string } | null;
  readonly log: {
    readonly log: string;
    readonly nextIndex: number;
    readonly acknowledged: number;
    readonly healthy: boolean;
  };
  readonly certificate_expires: string;
}

export function registerStatus(spoke: Command): void {
  spoke
    .command('status')
    .description('bundle, staleness, audit log and certificate of a running spoke')
    .option('--home <dir>', 'its home')
    .option('--json', 'machine-readable output')
    .action((options: { home?: string; json?: boolean }) =>
      settle(options.json === true, async () => {
        const status = (await askSpoke(spokeHome(options.home), '/status')) as Status;
        if (options.json === true) printJson(status);
        else {
          printFields([
            ['spoke', `${status.spoke} of unit ${status.unit}`],
            [
              'enforcing',
              status.ready ? `yes, mode ${status.mode}` : 'no: it refuses everything until it has a verified bundle',
            ],
            [
              'bundle',
              status.bundle === null
                ? 'none'
                : `version ${status.bundle.version} (epoch ${status.bundle.epoch}) ${status.bundle.digest}`,
            ],
            ['staleness', status.staleness],
            ['last refused bundle', status.nack === null ? 'none' : `${status.nack.code}: ${status.nack.detail}`],
            [
              'audit log',
              `${status.log.nextIndex} rows, ${status.log.nextIndex - status.log.acknowledged} not yet at the hub${status.log.healthy ? '' : ', NOT WRITABLE'}`,
            ],
            ['certificate', `until ${status.certificate_expires}`],
          ]);
        }
        return status.ready ? EXIT.ok : EXIT.failed;
      }),
    );
}
