// The shipped floor in the engine: every state of every signal, judged as OPA itself judges it, and no overlay gets below it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Evidence, SIGNAL_STATES, type SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { Json, JsonObject } from '@weir/shared/domain/json.ts';
import { rank } from '@weir/shared/domain/level.ts';
import { type Candidate, FLOOR_ENTRYPOINT } from '@weir/shared/policy/input.ts';
import { candidate, engine, inputOf, overlayModule, overlaySource, rulesLayer, settings } from './fixtures.ts';
import { buildFolder, opaPath } from './opa.ts';

const POLICIES = fileURLToPath(new URL('../../../policies', import.meta.url));
const SOURCES = ['floor', 'main', 'lib'].map((folder) => join(POLICIES, folder));
const FLOOR = buildFolder(SOURCES, FLOOR_ENTRYPOINT, ['--ignore', '*_test.rego']);

const VALUES: Readonly<Record<string, JsonObject>> = {
  age: { hours: 5 },
  index_hash_mismatch: { algorithm: 'sha512' },
  install_script: { kinds: ['postinstall'] },
  known_malicious: { id: 'MAL-1', ids: ['MAL-1'] },
  licence: { licence: 'MIT', ids: ['MIT'] },
  namespace_shadow: { pattern: '@corp/*' },
  new_package: { days: 3 },
  provenance_state: { rank: 1 },
  trust_downgrade: { from: 2, to: 0 },
  typosquat_distance: { distance: 1, target: 'lodash' },
  withdrawn_state: { state: 'yanked' },
};

function evidenceOf(changed: string, state: SignalOutcome['state']): Evidence {
  return Object.fromEntries(
    Object.entries(VALUES).map(([name, value]) => [
      name,
      name === changed
        ? {
            state,
            severity: 'high',
            value: state === 'hit' ? value : {},
            reason: state === 'unknown' ? 'not_known' : '',
          }
        : { state: 'clear', severity: 'none', value: name === 'age' ? { hours: 2160 } : {}, reason: '' },
    ]),
  );
}

const CANDIDATES: readonly Candidate[] = Object.keys(VALUES).flatMap((name) =>
  SIGNAL_STATES.map((state) => ({
    ...candidate('nothing', { version: `1.0.0-${state}` }),
    evidence: evidenceOf(name, state),
  })),
);

test('the shipped floor answers in the engine what it answers in OPA', async () => {
  const subject = await engine({ floor: FLOOR, rules: rulesLayer([]) });
  const input = inputOf(...CANDIDATES) as unknown as Json;
  const answer = subject.evaluateLayer('floor', input);
  assert.ok(answer.ok, JSON.stringify(answer));
  const { findings } = answer.output as { readonly findings: readonly Json[] };
  assert.ok(findings.length > 10, 'the cases make rules fire');
  const folder = mkdtempSync(join(tmpdir(), 'weir-shipped-'));
  try {
    writeFileSync(join(folder, 'data.json'), JSON.stringify({ settings: settings() }));
    writeFileSync(join(folder, 'input.json'), JSON.stringify(input));
    const data = [...SOURCES, join(folder, 'data.json')].flatMap((path) => ['--data', path]);
    const args = ['eval', '--format', 'raw', '--ignore', '*_test.rego', '--input', join(folder, 'input.json'), ...data];
    const opa = JSON.parse(
      execFileSync(opaPath(), [...args, 'data.weir.floor.main.result'], { encoding: 'utf8' }),
    ) as Json;
    assert.deepEqual(answer.output, opa);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const OVERLAYS = {
  'finds nothing': 'result := {"schema": input.schema, "findings": []}',
  fails: 'result := {"findings": []}',
  'refuses everything':
    'result := {"schema": input.schema, "findings": [f | some i, _ in input.candidates; f := {"candidate": i, "rule": "WEIR-OV-TEST-001", "level": "deny", "code": "c", "facts": {}}]}',
};
for (const [name, source] of Object.entries(OVERLAYS)) {
  test(`an overlay that ${name} leaves the shipped floor's levels as they are or higher`, async () => {
    const rules = rulesLayer([]);
    const [alone, both] = await Promise.all([
      engine({ floor: FLOOR, rules }),
      engine({ floor: FLOOR, rules, overlay: overlayModule(overlaySource(source)) }),
    ]);
    const floor = alone.decide(inputOf(...CANDIDATES));
    assert.ok(new Set(floor.map(({ level }) => level)).size > 1, 'the cases differ');
    both.decide(inputOf(...CANDIDATES)).forEach((verdict, i) => {
      assert.ok(rank(verdict.level) >= rank(floor[i]?.level ?? 'deny'));
      assert.equal(verdict.floor_level, floor[i]?.level);
    });
  });
}

test('versions of equal evidence are judged alike whether or not they share an evaluation', async () => {
  const many = Array.from({ length: 600 }, (_, i) => {
    const one = CANDIDATES[i % CANDIDATES.length] as Candidate;
    return { ...one, subject: { ...one.subject, version: `2.${i}.0`, purl: `pkg:npm/left-pad@2.${i}.0` } };
  });
  const [sharing, each] = await Promise.all(
    [false, true].map((readsVersion) => engine({ floor: FLOOR, rules: rulesLayer([]), readsVersion })),
  );
  assert.deepEqual(sharing?.decide(inputOf(...many)), each?.decide(inputOf(...many)));
});
