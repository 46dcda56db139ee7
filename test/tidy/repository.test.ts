// The rest of the house rules: names, documents, lockfile, generated code, formatter, linter and types.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { LONGEST } from '../longest.ts';
import { readText, repositoryFiles, ROOT } from './sources.ts';

const run = promisify(execFile);
const files = repositoryFiles();

async function succeeds(command: string, args: readonly string[], cwd = ROOT): Promise<void> {
  try {
    await run(join(ROOT, 'node_modules', '.bin', command), args, { cwd, maxBuffer: 1 << 26 });
  } catch (thrown) {
    const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
    assert.fail(`${command} ${args.join(' ')}\n${stdout}\n${stderr}`);
  }
}

test('no file or folder is called util, helper, common or misc', () => {
  assert.deepEqual(
    files.filter((path) => /(^|[/_.-])(utils?|helpers?|common|misc)([/_.-]|$)/i.test(path)),
    [],
  );
});

test('file names are kebab-case', () => {
  assert.deepEqual(
    files.filter(
      (path) =>
        path.endsWith('.ts') &&
        !path.startsWith('proto/gen/') &&
        !/^([a-z0-9][a-z0-9.-]*\/)*[a-z0-9][a-z0-9.-]*\.ts$/.test(path),
    ),
    [],
  );
});

test('the top level is the one agreed', () => {
  const folders = new Set(files.filter((path) => path.includes('/')).map((path) => path.split('/')[0] ?? ''));
  assert.deepEqual([...folders].filter((name) => !name.startsWith('.')).toSorted(), [
    'deploy',
    'hub',
    'policies',
    'proto',
    'shared',
    'spoke',
    'test',
  ]);
  assert.deepEqual(
    [...new Set(files.filter((path) => path.startsWith('deploy/')).map((path) => path.split('/')[1]))],
    ['onprem'],
  );
});

test('every first-level folder explains itself', () => {
  const missing = ['proto', 'hub', 'spoke', 'shared', 'policies', 'deploy/onprem', 'test'].filter(
    (folder) => !files.includes(`${folder}/README.md`),
  );
  assert.deepEqual(missing, []);
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'LICENSE'])
    assert.ok(files.includes(name), name);
});

test('the suites that are started first exist', () => {
  assert.deepEqual(
    LONGEST.filter((path) => !files.includes(path)),
    [],
  );
});

test('the lockfile records no download address', () => {
  assert.doesNotMatch(readText('package-lock.json'), /"resolved": "(http|git)/);
});

test('no file names a path of a developer machine or carries a private key', () => {
  const home = homedir();
  const key = new RegExp(['-----BEGIN', '(EC |RSA )?PRIVATE KEY-----'].join(' '));
  const offending = files.filter((path) => {
    if (/\.(png|binpb|wasm|gz)$/.test(path)) return false;
    const text = readText(path);
    return text.includes(`${home}/`) || text.includes(`${ROOT}/`) || key.test(text);
  });
  assert.deepEqual(offending, []);
});

test('a task left in the code has an owner or a number', () => {
  const word = ['TO', 'DO'].join('');
  assert.deepEqual(
    files.filter((path) => path.endsWith('.ts') && new RegExp(`\\b${word}\\b(?!\\()`).test(readText(path))),
    [],
  );
});

test('every migration is numbered once and in order', () => {
  const numbers = files
    .filter((path) => path.startsWith('hub/store/migrations/') && path.endsWith('.sql'))
    .map((path) => /\/(\d{4})_[a-z0-9_]+\.sql$/.exec(path)?.[1]);
  assert.ok(numbers.length > 0);
  assert.ok(numbers.every((number) => number !== undefined));
  assert.equal(new Set(numbers).size, numbers.length);
});

test('types hold', () => succeeds('tsc', ['--noEmit']));
test('the linter is content', () => succeeds('oxlint', ['--type-aware', '--deny-warnings']));
test('the formatter has nothing to change', () => succeeds('biome', ['format', '.']));
test('buf lint is content', () => succeeds('buf', ['lint']));
test('the protocol breaks nothing released', () => succeeds('buf', ['breaking', '--against', 'proto/released.binpb']));

test('generated code is what the protos generate', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'weir-proto-'));
  try {
    cpSync(join(ROOT, 'proto'), join(scratch, 'proto'), {
      recursive: true,
      filter: (path) => !relative(ROOT, path).startsWith('proto/gen'),
    });
    symlinkSync(join(ROOT, 'node_modules'), join(scratch, 'node_modules'));
    await succeeds('buf', ['generate'], join(scratch, 'proto'));
    const made = join(scratch, 'proto', 'gen');
    const committed = join(ROOT, 'proto', 'gen');
    assert.deepEqual(list(made), list(committed));
    for (const file of list(made))
      assert.equal(readFileSync(join(made, file), 'utf8'), readFileSync(join(committed, file), 'utf8'), file);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});

function list(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .toSorted();
}
