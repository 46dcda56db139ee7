// The real OPA with the shipped capabilities, for tests.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createGates, type Gates } from '@weir/hub/floor/gates.ts';
import type { Opa } from '@weir/hub/floor/opa.ts';
import { createOpa, findOpa } from '@weir/hub/io/opa-process.ts';

export const POLICIES = join(import.meta.dirname, '..', '..', 'policies');

export function realOpa(): Opa {
  return createOpa(findOpa(process.env));
}

export async function shippedCapabilities(): Promise<{ readonly floor: Uint8Array; readonly overlay: Uint8Array }> {
  return {
    floor: await readFile(join(POLICIES, 'capabilities.floor.json')),
    overlay: await readFile(join(POLICIES, 'capabilities.overlay.json')),
  };
}

export const CLOCK = { monotonicMs: (): number => performance.now() };

export async function realGates(): Promise<Gates> {
  return createGates({ opa: realOpa(), capabilities: await shippedCapabilities(), clock: CLOCK });
}
