// `weir intel publish` and `weir exceptions publish`: documents that become layers of every unit's bundle.

import type { Command } from 'commander';
import { PolicyService, type PublishedBundle, PublishedBundleSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { readGivenFile } from '../io/source-folder.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { messageJson, printJson, printLine, settle, shortDigest } from './output.ts';

export function registerIntelPublish(intel: Command): void {
  withConnection(intel.command('publish').description('publish the datasets that signals look things up in'))
    .argument('<file>', 'weir.intel/v1 JSON')
    .action((file: string, options: ConnectionOptions) =>
      settle(options.json === true, async () => {
        const bytes = await readGivenFile(file);
        report(options, (await (await connect(options))(PolicyService).publishIntel({ intel: bytes })).bundles);
      }),
    );
}

export function registerExceptionsPublish(exceptions: Command): void {
  withConnection(exceptions.command('publish').description('replace the exceptions in force'))
    .argument('<file>', 'weir.exceptions/v1 JSON')
    .action((file: string, options: ConnectionOptions) =>
      settle(options.json === true, async () => {
        const bytes = await readGivenFile(file);
        report(
          options,
          (await (await connect(options))(PolicyService).publishExceptions({ exceptions: bytes })).bundles,
        );
      }),
    );
}

function report(options: ConnectionOptions, bundles: readonly PublishedBundle[]): void {
  if (options.json === true) {
    printJson({ bundles: bundles.map((one) => messageJson(PublishedBundleSchema, one)) });
    return;
  }
  for (const { unit, bundle } of bundles) {
    printLine(`${unit}: bundle version ${bundle?.version ?? 0n} ${shortDigest(bundle?.digest?.value)}`);
  }
  if (bundles.length === 0) printLine('stored; no unit has a new bundle (no floor yet, no units, or nothing changed)');
}
