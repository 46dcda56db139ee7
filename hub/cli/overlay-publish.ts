// `weir overlay publish`: a folder of policy becomes a unit's overlay, if every gate passes.

import type { Command } from 'commander';
import { PolicyService, PublishOverlayResponseSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { selectOverlayFiles } from '../floor/source-tree.ts';
import { readSourceFolder } from '../io/source-folder.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { gateStatus, printGateReport } from './gate-report.ts';
import { messageJson, printJson, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly note: string;
  readonly dryRun?: boolean;
}

export function registerOverlayPublish(overlay: Command): void {
  withConnection(overlay.command('publish').description("check, compile, sign and publish a unit's overlay"))
    .argument('<unit>')
    .argument('<folder>', 'folder with the policy sources')
    .option('--note <text>', 'why, for the record', '')
    .option('--dry-run', 'run the gates only')
    .action((unit: string, folder: string, options: Options) =>
      settle(options.json === true, async () => {
        const files = selectOverlayFiles(await readSourceFolder(folder));
        if (files.length === 0) throw new WeirError('not_found', `${folder} holds no policy`);
        const dryRun = options.dryRun ?? false;
        const answer = await (await connect(options))(PolicyService).publishOverlay({
          unit,
          files: [...files],
          note: options.note,
          dryRun,
        });
        const bundles = answer.bundle === undefined ? [] : [answer.bundle];
        const report = { ...answer, bundles, what: `overlay version ${answer.overlayVersion} of ${unit}`, dryRun };
        if (options.json === true) printJson(messageJson(PublishOverlayResponseSchema, answer));
        else printGateReport(report);
        return gateStatus(report);
      }),
    );
}
