// `weir unit settings`: shows a unit's signed settings, or replaces members of them and publishes the next bundle.

import type { Command } from 'commander';
import { UnitSchema, UnitService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { readGivenFile } from '../io/source-folder.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { messageJson, printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly set?: string;
}

export function registerUnitSettings(unit: Command): void {
  withConnection(unit.command('settings').description("show or change a unit's settings").argument('<name>'))
    .option('--set <file>', 'JSON with the members to replace')
    .action((name: string, options: Options) =>
      settle(options.json === true, async () => {
        const client = (await connect(options))(UnitService);
        if (options.set === undefined) {
          const found = (await client.listUnits({})).units.find((one) => one.name === name);
          if (found === undefined)
            throw new WeirError('not_found', `there is no unit ${name}`, { next: 'see `weir unit list`' });
          printJson(JSON.parse(found.settings));
          return;
        }
        const settings = Buffer.from(await readGivenFile(options.set)).toString('utf8');
        const { unit: changed } = await client.updateSettings({ unit: name, settings });
        if (options.json === true) printJson({ unit: changed === undefined ? null : messageJson(UnitSchema, changed) });
        else
          printLine(
            `settings of ${name} changed${changed?.bundle === undefined ? '' : `; bundle version ${changed.bundle.version} carries them`}`,
          );
      }),
    );
}
