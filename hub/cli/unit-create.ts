// `weir unit create`: a new unit, from a settings file or all defaults.

import type { Command } from 'commander';
import { UnitSchema, UnitService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { readGivenFile } from '../io/source-folder.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { messageJson, printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly settings?: string;
}

export function registerUnitCreate(unit: Command): void {
  withConnection(unit.command('create').description('make a unit').argument('<name>', 'lower-case name'))
    .option('--settings <file>', 'JSON with the members that differ from the defaults')
    .action((name: string, options: Options) =>
      settle(options.json === true, async () => {
        const settings =
          options.settings === undefined ? '' : Buffer.from(await readGivenFile(options.settings)).toString('utf8');
        const { unit: made } = await (await connect(options))(UnitService).createUnit({ name, settings });
        if (options.json === true) printJson({ unit: made === undefined ? null : messageJson(UnitSchema, made) });
        else
          printLine(
            `unit ${name} exists now; invite its first spoke with: weir spoke invite --unit ${name} --name ${name}-1`,
          );
      }),
    );
}
