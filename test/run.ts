// Runs the test suites under node's own runner. Default: everything quick and hermetic. `--live` runs the client suites
// against the upstreams this machine's clients are configured for, `--check` only the static checks. Any other arguments are file patterns.

import { spawn } from 'node:child_process';
import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const QUICK = [
  'shared/**/*.test.ts',
  'hub/**/*.test.ts',
  'spoke/**/*.test.ts',
  'deploy/**/*.test.ts',
  'test/**/*.test.ts',
];
const SLOW = ['test/live/'];

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const flags = new Set(args.filter((arg) => arg.startsWith('--')));
  const patterns = args.filter((arg) => !arg.startsWith('--'));
  const files = await filesOf(flags, patterns);
  if (files.length === 0) {
    process.stderr.write('no test file matches\n');
    return 1;
  }
  const runner = [
    '--test',
    `--test-concurrency=${flags.has('--live') ? 1 : Math.max(2, availableParallelism())}`,
    `--test-reporter=${join(ROOT, 'test', 'reporter.ts')}`,
    '--test-reporter-destination=stdout',
    ...files,
  ];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, runner, { cwd: ROOT, stdio: 'inherit' });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function filesOf(flags: ReadonlySet<string>, patterns: readonly string[]): Promise<readonly string[]> {
  const wanted = patterns.length > 0 ? patterns : defaultPatterns(flags);
  const files = new Set<string>();
  for await (const file of glob(wanted, { cwd: ROOT, exclude: (path) => path.split('/').includes('node_modules') })) {
    const slow = SLOW.some((folder) => file.startsWith(folder));
    if (!slow || patterns.length > 0 || flags.has('--live')) files.add(file);
  }
  return [...files].toSorted();
}

function defaultPatterns(flags: ReadonlySet<string>): readonly string[] {
  if (flags.has('--live')) return ['test/live/**/*.test.ts'];
  if (flags.has('--check')) return ['test/tidy/**/*.test.ts'];
  return QUICK;
}

process.exitCode = await main();
