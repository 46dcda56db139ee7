// Exports on disk. Output is readable by its owner only: it holds who installed what.

import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportFolder } from '../audit/export/output.ts';

const MODE = 0o600;

/** A folder for exports, made when it does not exist. */
export async function openExportFolder(folder: string): Promise<ExportFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const at = (name: string): string => join(folder, name);

  async function syncFolder(): Promise<void> {
    const handle = await open(folder, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  return {
    async size(name) {
      try {
        return (await stat(at(name))).size;
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        throw thrown;
      }
    },
    async open(name, size) {
      const handle = await open(at(name), constants.O_WRONLY | constants.O_CREAT, MODE);
      let position = size;
      try {
        await handle.truncate(size);
        await syncFolder();
      } catch (thrown) {
        await handle.close();
        throw thrown;
      }
      return {
        async append(bytes) {
          for (let from = 0; from < bytes.length; ) {
            const { bytesWritten } = await handle.write(bytes, from, bytes.length - from, position);
            from += bytesWritten;
            position += bytesWritten;
          }
        },
        sync: () => handle.sync(),
        close: () => handle.close(),
      };
    },
    async read(name) {
      try {
        return await readFile(at(name), 'utf8');
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        throw thrown;
      }
    },
    async replace(name, text) {
      const growing = at(`${name}.new`);
      const handle = await open(growing, 'w', MODE);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(growing, at(name));
      await syncFolder();
    },
    async rename(from, to) {
      await rename(at(from), at(to));
      await syncFolder();
    },
    async remove(name) {
      await rm(at(name), { force: true });
      await syncFolder();
    },
  };
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}
