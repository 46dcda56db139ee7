// `weir unit list`: every unit with its mode and newest bundle.

import type { Command } from 'commander';
import { UnitSchema, UnitService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { Mode } from '@weir/proto/weir/type/v1/type_pb.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { instant, messageJson, printJson, printTable, settle, shortDigest } from './output.ts';

const MODE_NAMES: Readonly<Record<Mode, string>> = {
  [Mode.UNSPECIFIED]: '-',
  [Mode.BLOCK]: 'block',
  [Mode.WARN]: 'warn',
  [Mode.OBSERVE]: 'observe',
};

export function registerUnitList(unit: Command): void {
  withConnection(unit.command('list').description('every unit')).action((options: ConnectionOptions) =>
    settle(options.json === true, async () => {
      const { units } = await (await connect(options))(UnitService).listUnits({});
      if (options.json === true) {
        printJson({ units: units.map((one) => messageJson(UnitSchema, one)) });
        return;
      }
      printTable(
        ['UNIT', 'MODE', 'BUNDLE', 'VERSION', 'CREATED'],
        units.map(({ name, mode, bundle, createdAtMs }) => [
          name,
          MODE_NAMES[mode] ?? '?',
          shortDigest(bundle?.digest?.value),
          bundle === undefined ? '-' : String(bundle.version),
          instant(createdAtMs),
        ]),
        'no units yet; make one with: weir unit create NAME',
      );
    }),
  );
}
