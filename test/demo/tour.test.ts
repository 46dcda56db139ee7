// The tour is also a test: on the tests' own upstreams, without any network beyond this machine.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { STEPS } from './steps.ts';

const TOUR = join(dirname(fileURLToPath(import.meta.url)), 'tour.ts');

test('the tour keeps every promise, with the real npm and the real pip', async () => {
  const { code, output } = await new Promise<{ code: number; output: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      [TOUR, '--upstream', 'local', '--json'],
      { maxBuffer: 1 << 26 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, output: `${stdout}${stderr}` }),
    );
  });
  assert.equal(code, 0, output);
  const last = JSON.parse(output.trim().split('\n').at(-1) ?? '') as {
    demo: string;
    ok: boolean;
    steps: { name: string; ok: boolean; ms: number }[];
  };
  assert.equal(last.demo, 'tour');
  assert.equal(last.ok, true);
  assert.deepEqual(
    last.steps.map(({ name, ok }) => ({ name, ok })),
    STEPS.map(({ name }) => ({ name, ok: true })),
  );
});
