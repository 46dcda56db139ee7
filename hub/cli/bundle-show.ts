// `weir bundle show`: one bundle's layers, or its signed envelope as stored.

import type { Command } from 'commander';
import { BundleSummarySchema, PolicyService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { instant, messageJson, printFields, printJson, printLine, printTable, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly envelope?: boolean;
}

export function registerBundleShow(bundle: Command): void {
  withConnection(bundle.command('show').description('one bundle').argument('<digest>', 'sha256:…'))
    .option('--envelope', 'print the signed envelope (Sigstore bundle JSON) instead')
    .action((digest: string, options: Options) =>
      settle(options.json === true, async () => {
        const { summary, envelope } = await (await connect(options))(PolicyService).getBundle({
          digest: { value: digest },
        });
        if (options.envelope === true) {
          process.stdout.write(envelope);
          return;
        }
        if (summary === undefined) return;
        if (options.json === true) {
          printJson({
            bundle: messageJson(BundleSummarySchema, summary),
            envelope: JSON.parse(Buffer.from(envelope).toString('utf8')) as unknown,
          });
          return;
        }
        printFields([
          ['unit', summary.unit],
          ['digest', summary.bundle?.digest?.value ?? ''],
          ['epoch', String(summary.bundle?.epoch ?? 0n)],
          ['version', String(summary.bundle?.version ?? 0n)],
          ['issued', instant(summary.issuedAtMs)],
          ['expires', instant(summary.expiresAtMs)],
        ]);
        printLine('');
        printTable(
          ['LAYER', 'BYTES', 'DIGEST'],
          summary.layers.map(({ name, size, digest: of }) => [name, String(size), of?.value ?? '']),
          'no layers',
        );
      }),
    );
}
