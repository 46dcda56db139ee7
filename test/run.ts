// Runs the test suites under node's own runner. Default: everything quick and hermetic. `--live` runs the client suites
// against the upstreams this machine's clients are configured for, `--check` only the static checks. Any other arguments are file patterns.

import { glob, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TESSERA_FSCK } from './interop/ledger/tessera-process.ts';
import { TLOG_CHECK } from './interop/ledger/tlog-check.ts';
import { LONGEST } from './longest.ts';
import report from './reporter.ts';
import { ensureGoTool } from './tools/go-tool.ts';
import { VERSITYGW } from './upstreams/versitygw.ts';

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
  const everything = flags.size === 0 && patterns.length === 0;
  if (everything) buildMissingTools();

  // Hundreds of processes load the same modules: what one has compiled, the others need not.
  const compiled = await mkdtemp(join(tmpdir(), 'weir-compiled-'));
  process.env['NODE_COMPILE_CACHE'] ??= compiled;
  try {
    let succeeded = false;
    const events = run({
      files: files.map((file) => join(ROOT, file)),
      cwd: ROOT,
      concurrency: flags.has('--live') ? 1 : Math.max(2, availableParallelism()),
    });
    events.on('test:summary', ({ file, success }) => {
      if (file === undefined) succeeded = success;
    });
    const printed = events.compose(report);
    printed.pipe(process.stdout);
    await once(printed, 'end');
    return succeeded ? 0 : 1;
  } finally {
    await rm(compiled, { recursive: true, force: true });
  }
}

/** In the background: suites that come to need one wait for it, and say so when it cannot be built. */
function buildMissingTools(): void {
  void (async () => {
    for (const tool of [TLOG_CHECK, TESSERA_FSCK, VERSITYGW]) await ensureGoTool(tool).catch(() => undefined);
  })();
}

/** The longest first, so that at the end no core waits for a long one that began last. */
async function filesOf(flags: ReadonlySet<string>, patterns: readonly string[]): Promise<readonly string[]> {
  const wanted = patterns.length > 0 ? patterns : defaultPatterns(flags);
  const files = new Set<string>();
  for await (const file of glob(wanted, { cwd: ROOT, exclude: (path) => path.split('/').includes('node_modules') })) {
    const slow = SLOW.some((folder) => file.startsWith(folder));
    if (!slow || patterns.length > 0 || flags.has('--live')) files.add(file);
  }
  return [...LONGEST.filter((file) => files.delete(file)), ...[...files].toSorted()];
}

function defaultPatterns(flags: ReadonlySet<string>): readonly string[] {
  if (flags.has('--live')) return ['test/live/**/*.test.ts'];
  if (flags.has('--check')) return ['test/tidy/**/*.test.ts'];
  return QUICK;
}

process.exitCode = await main();
