// What OPA itself answers for the shipped floor: the sources, evaluated by its own interpreter, without anything of ours.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Json } from '@weir/shared/domain/json.ts';
import { opaPath } from '../policy/engine/opa.ts';

const POLICIES = join(import.meta.dirname, '..', '..', 'policies');
const QUERY = '[answer | some asked in data.asked; answer := data.weir.floor.main.result with input as asked]';

/** The floor's results for the inputs, in their order. */
export function opaAnswers(inputs: readonly Json[], settings: Json): readonly Json[] {
  const folder = mkdtempSync(join(tmpdir(), 'weir-opa-answers-'));
  try {
    writeFileSync(join(folder, 'data.json'), JSON.stringify({ settings, asked: inputs }));
    const paths = [...['floor', 'main', 'lib'].map((name) => join(POLICIES, name)), join(folder, 'data.json')];
    const args = ['eval', '--format', 'raw', '--ignore', '*_test.rego', ...paths.flatMap((path) => ['--data', path])];
    return JSON.parse(execFileSync(opaPath(), [...args, QUERY], { encoding: 'utf8', maxBuffer: 1 << 26 })) as Json[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
