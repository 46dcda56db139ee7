// A place for one run of a Python installer: a folder of its own to install into, and what is found there afterwards.

import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientWorkspace, type Ran, run, type Workspace } from '../../upstreams/clients.ts';

export interface PythonProject extends Workspace {
  readonly site: string;
  run(program: string, ...args: readonly string[]): Promise<Ran>;
  write(file: string, text: string): Promise<string>;
  /** `name-version` of what lies in `site`, sorted. */
  installed(): Promise<readonly string[]>;
}

export async function pythonProject(env: Readonly<Record<string, string>> = {}): Promise<PythonProject> {
  const workspace = await clientWorkspace();
  const { folder } = workspace;
  const site = join(folder, 'site');
  return {
    ...workspace,
    site,
    run: (program, ...args) => run(program, args, { env: { ...workspace.env, ...env }, cwd: folder }),
    async write(file, text) {
      const path = join(folder, file);
      await writeFile(path, text);
      return path;
    },
    async installed() {
      const names = await readdir(site).catch(() => []);
      return names
        .filter((name) => name.endsWith('.dist-info'))
        .map((name) => name.slice(0, -'.dist-info'.length))
        .toSorted();
    },
  };
}

/** An index address with a token in it, as people write it into their settings. */
export function withToken(index: string, token: string): string {
  return token === '' ? index : index.replace('http://', `http://__token__:${token}@`);
}
