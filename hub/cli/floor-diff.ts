// `weir floor diff`: what would change, or did change, between a folder and published versions of the floor.

import type { Command } from 'commander';
import { createTwoFilesPatch } from 'diff';
import { PolicyService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { selectFloorFiles } from '../floor/source-tree.ts';
import { readSourceFolder } from '../io/source-folder.ts';
import { connect, type ConnectionOptions, readCount, withConnection } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { printJson, printLine, settle } from './output.ts';

interface Options extends ConnectionOptions {
  readonly from: number;
  readonly to: number;
  readonly exitCode?: boolean;
}

type Change = 'added' | 'removed' | 'changed';

export function registerFloorDiff(floor: Command): void {
  withConnection(
    floor.command('diff').description('compare a folder with the published floor, or two published versions'),
  )
    .argument('[folder]', 'folder with policy sources; without it two published versions are compared')
    .option(
      '--from <version>',
      'published version on the old side (default: the newest, or the one before --to)',
      readCount,
      0,
    )
    .option(
      '--to <version>',
      'published version on the new side, when there is no folder (default: the newest)',
      readCount,
      0,
    )
    .option('--exit-code', 'exit status 1 when there is a difference')
    .action((folder: string | undefined, options: Options) =>
      settle(options.json === true, async () => {
        const client = (await connect(options))(PolicyService);
        const published = async (version: number): Promise<ReadonlyMap<string, string>> =>
          texts((await client.getSources({ unit: '', version: BigInt(version) })).files);
        let before: ReadonlyMap<string, string>;
        let after: ReadonlyMap<string, string>;
        if (folder === undefined) {
          const newest = Number((await client.listFloors({ page: { size: 1, cursor: '' } })).floors[0]?.version ?? 0n);
          const to = options.to === 0 ? newest : options.to;
          const from = options.from === 0 ? to - 1 : options.from;
          if (from < 1)
            throw new WeirError('not_found', 'there is no earlier floor to compare with', {
              next: 'pass a FOLDER, or --from',
            });
          [before, after] = await Promise.all([published(from), published(to)]);
        } else {
          before = await published(options.from);
          after = texts(selectFloorFiles(await readSourceFolder(folder)));
        }
        const changes = compare(before, after);
        if (options.json === true) printJson({ changes });
        else {
          for (const { patch } of changes) printLine(patch.trimEnd());
          if (changes.length === 0) printLine('no difference');
        }
        return changes.length > 0 && options.exitCode === true ? EXIT.failed : EXIT.done;
      }),
    );
}

function texts(files: readonly { readonly path: string; readonly content: Uint8Array }[]): ReadonlyMap<string, string> {
  return new Map(files.map(({ path, content }) => [path, Buffer.from(content).toString('utf8')]));
}

function compare(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) {
  const paths = [...new Set([...before.keys(), ...after.keys()])].toSorted();
  return paths
    .filter((path) => before.get(path) !== after.get(path))
    .map((path) => {
      const change: Change = !before.has(path) ? 'added' : !after.has(path) ? 'removed' : 'changed';
      return {
        path,
        change,
        patch: createTwoFilesPatch(
          change === 'added' ? '/dev/null' : `a/${path}`,
          change === 'removed' ? '/dev/null' : `b/${path}`,
          before.get(path) ?? '',
          after.get(path) ?? '',
        ),
      };
    });
}
