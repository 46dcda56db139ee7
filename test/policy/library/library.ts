// The shipped policies and the tools to judge them with: the checkout's files, the pinned OPA, and the hub's own gates.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { createGates } from '@weir/hub/floor/gates.ts';
import type { Opa, OpaResult } from '@weir/hub/floor/opa.ts';
import { selectFloorFiles, selectOverlayFiles } from '@weir/hub/floor/source-tree.ts';
import { createOpa, findOpa } from '@weir/hub/io/opa-process.ts';
import type { SourceFile } from '@weir/hub/store/policy-store.ts';

export const POLICIES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'policies');
export const UNITS = ['example', 'payments', 'research'] as const;

/** Set to rewrite generated files instead of comparing them. */
const REWRITE = process.env['WEIR_GOLDEN'] === 'write';

export const clock = { monotonicMs: () => performance.now() };
export const opa: Opa = createOpa(findOpa(process.env));

/** Files under a folder of `policies/`, by path relative to it. */
export function filesUnder(folder = ''): readonly SourceFile[] {
  const root = join(POLICIES, folder);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: path.slice(root.length).replace(/^\//, ''), content: readFileSync(path) }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Read anew each time: generated files change under the rewrite switch. */
export function floorFiles(): readonly SourceFile[] {
  return selectFloorFiles(filesUnder());
}

export function overlayFiles(unit: string): readonly SourceFile[] {
  return selectOverlayFiles(filesUnder(`overlay/${unit}`));
}

export const gates = createGates({
  opa,
  clock,
  capabilities: {
    floor: readFileSync(join(POLICIES, 'capabilities.floor.json')),
    overlay: readFileSync(join(POLICIES, 'capabilities.overlay.json')),
  },
});

/** Runs OPA over the whole checkout. */
export async function runOpa(args: readonly string[], stdin?: string): Promise<OpaResult> {
  await using folder = await opa.open(filesUnder());
  // Awaited here: the folder goes when this function ends.
  return await folder.run(args, stdin);
}

/** Text of a generated file; with the rewrite switch the file is brought up to date first. */
export function committed(path: string, generated: string): string {
  const file = join(POLICIES, path);
  if (REWRITE && !sameContent(readFileSync(file, 'utf8'), generated)) writeFileSync(file, generated);
  return readFileSync(file, 'utf8');
}

/** Documents that differ only by layout are left as the formatter has them. */
function sameContent(a: string, b: string): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(a), JSON.parse(b));
  } catch {
    return a === b;
  }
}

export function asFile(json: unknown): string {
  return `${JSON.stringify(json, null, 2)}\n`;
}
