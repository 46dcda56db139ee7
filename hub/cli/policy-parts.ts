// What the `weir policy` commands share: the gates over the OPA of this machine, and reading documents that a person names.

import { join } from 'node:path';
import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { createGates, type Gates } from '../floor/gates.ts';
import { selectFloorFiles, selectOverlayFiles } from '../floor/source-tree.ts';
import { createOpa, findOpa } from '../io/opa-process.ts';
import { readGivenFile, readSourceFolder } from '../io/source-folder.ts';
import { systemClock } from '../io/system-clock.ts';
import type { SourceFile } from '../store/policy-store.ts';

const SHIPPED = join(import.meta.dirname, '..', '..', 'policies');

/** Folder of the floor that the product ships with. */
export const SHIPPED_FLOOR = SHIPPED;

export async function localGates(): Promise<Gates> {
  return createGates({
    opa: createOpa(findOpa(process.env)),
    clock: systemClock,
    capabilities: {
      floor: await readGivenFile(join(SHIPPED, 'capabilities.floor.json')),
      overlay: await readGivenFile(join(SHIPPED, 'capabilities.overlay.json')),
    },
  });
}

export async function readFloor(folder: string): Promise<readonly SourceFile[]> {
  return present(folder, selectFloorFiles(await readSourceFolder(folder)));
}

export async function readOverlay(folder: string): Promise<readonly SourceFile[]> {
  return present(folder, selectOverlayFiles(await readSourceFolder(folder)));
}

/** A JSON file of a known shape; throws `invalid_argument` naming the first fault. */
export async function readDocument<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(await readGivenFile(file)));
  } catch (thrown) {
    if (thrown instanceof WeirError) throw thrown;
    throw new WeirError('invalid_argument', `${file} is not json`, { cause: thrown });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new WeirError('invalid_argument', `${file}: ${z.prettifyError(parsed.error).split('\n')[0] ?? 'malformed'}`);
}

function present(folder: string, files: readonly SourceFile[]): readonly SourceFile[] {
  if (files.length > 0) return files;
  throw new WeirError('not_found', `${folder} holds no policy`);
}
