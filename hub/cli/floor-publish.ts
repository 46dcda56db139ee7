// `weir floor publish`: a folder of policy becomes the floor of every unit, if every gate passes.

import type { Command } from 'commander';
import { PolicyService, PublishFloorResponseSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { selectFloorFiles } from '../floor/source-tree.ts';
import { readSourceFolder } from '../io/source-folder.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { gateStatus, printGateReport } from './gate-report.ts';
import { messageJson, printJson, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly note: string;
  readonly dryRun?: boolean;
}

/** Datasets that a floor checkout brings along for a hub that has none yet; `weir intel publish` replaces them. */
const INTEL = 'intel/intel.json';

export function registerFloorPublish(floor: Command): void {
  withConnection(floor.command('publish').description('check, compile, sign and publish the policy floor'))
    .argument('<folder>', 'folder with the policy sources')
    .option('--note <text>', 'why, for the record', '')
    .option('--dry-run', 'run the gates only')
    .action((folder: string, options: Options) =>
      settle(options.json === true, async () => {
        const all = await readSourceFolder(folder);
        const files = [...selectFloorFiles(all), ...all.filter(({ path }) => path === INTEL)];
        if (files.length === 0) throw new WeirError('not_found', `${folder} holds no policy`);
        const dryRun = options.dryRun ?? false;
        const answer = await (await connect(options))(PolicyService).publishFloor({
          files: [...files],
          note: options.note,
          dryRun,
        });
        const report = { ...answer, what: `floor version ${answer.floorVersion}`, dryRun };
        if (options.json === true) printJson(messageJson(PublishFloorResponseSchema, answer));
        else printGateReport(report);
        return gateStatus(report);
      }),
    );
}
