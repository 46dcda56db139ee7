// The one entry of every npm script: makes this checkout runnable, then hands over to the pinned Node. It is plain
// JavaScript for any Node >= 20 without dependencies, because it runs before anything is installed.
//
// Order: lockfile installed exactly -> pinned Node found -> OPA found or built -> target started. Each step that takes
// more than two seconds says so; each failure is one sentence with what to do.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const OPA_MODULE = join(ROOT, 'hub', 'io', 'tools', 'opa');
const NODE_MIN = [24, 15];
const WINDOWS = process.platform === 'win32';
const PARENT_POLL_MS = 250;

/** What each npm script runs, and whether it compiles policies. */
const TARGETS = {
  start: { script: 'deploy/onprem/trial/start.ts', opa: true },
  demo: { script: 'test/demo/tour.ts', opa: true },
  test: { script: 'test/run.ts', opa: true },
  'test:live': { script: 'test/run.ts', args: ['--live'], opa: true },
  sim: { script: 'test/sim/run.ts', opa: false },
  chaos: { script: 'test/chaos/run.ts', opa: true },
  bench: { script: 'test/bench/run.ts', opa: true },
  check: { script: 'test/run.ts', args: ['--check'], opa: false },
};

class SetupError extends Error {}

async function main() {
  const [name, ...rest] = process.argv.slice(2);
  const target = TARGETS[name ?? ''];
  if (target === undefined)
    throw new SetupError(
      `setup.mjs knows ${Object.keys(TARGETS).join(', ')}; run it through npm, for example: npm start`,
    );
  await installLockfile();
  const node = pinnedNode();
  const env = {
    ...process.env,
    PATH: [dirname(node), join(ROOT, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
  };
  const help = rest.includes('--help') || rest.includes('-h');
  if (target.opa && !help) env.WEIR_OPA = await findOpa(env);
  process.exitCode = await handOver(node, [join(ROOT, target.script), ...(target.args ?? []), ...rest], env);
}

/** Installs exactly what the lockfile says, once per lockfile content. */
async function installLockfile() {
  const lock = readFileSync(join(ROOT, 'package-lock.json'));
  const wanted = createHash('sha256').update(lock).digest('hex');
  const stamp = join(ROOT, 'node_modules', '.weir-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  const { status, output } = await step(
    'installing the locked packages',
    WINDOWS ? 'npm.cmd' : 'npm',
    ['ci', '--no-audit', '--no-fund'],
    ROOT,
  );
  if (status !== 0) {
    throw new SetupError(
      `the locked packages could not be installed (npm ci ended with ${status}): check the network and your npm registry setting, then run this again\n${tail(output)}`,
    );
  }
  writeFileSync(stamp, wanted);
}

/** The Node that the lockfile pins for this platform; the current one when it is new enough and no pin exists. */
function pinnedNode() {
  const pinned = join(ROOT, 'node_modules', '.bin', WINDOWS ? 'node.cmd' : 'node');
  if (existsSync(pinned) && spawnSync(pinned, ['--version']).status === 0) return pinned;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return process.execPath;
  throw new SetupError(
    `no pinned Node exists for ${process.platform}-${process.arch} and this one is ${process.versions.node}: install Node ${NODE_MIN.join('.')} or newer and run this again`,
  );
}

/** OPA: WEIR_OPA, then PATH, then the cache, then the pinned Go module, then a release the operator pins by checksum. */
async function findOpa(env) {
  if (env.WEIR_OPA) {
    if (works(env.WEIR_OPA)) return env.WEIR_OPA;
    throw new SetupError(`WEIR_OPA names ${env.WEIR_OPA}, which does not run: correct it or unset it`);
  }
  const version = pinnedOpaVersion();
  const binary = WINDOWS ? 'opa.exe' : 'opa';
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const candidate = join(folder, binary);
    if (folder !== '' && isExecutable(candidate) && works(candidate)) return candidate;
  }
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weir', 'tools', `opa-${version}`);
  const cached = join(cache, binary);
  if (isExecutable(cached) && works(cached)) return cached;
  mkdirSync(cache, { recursive: true });
  if (spawnSync('go', ['version']).status === 0) {
    const built = `${cached}.${process.pid}`;
    const { status, output } = await step(
      `building OPA ${version} (once; one to three minutes)`,
      'go',
      ['build', '-mod=readonly', '-trimpath', '-o', built, 'github.com/open-policy-agent/opa'],
      OPA_MODULE,
      { ...process.env, GOFLAGS: '', CGO_ENABLED: '0' },
    );
    if (status === 0) {
      renameSync(built, cached);
      return cached;
    }
    rmSync(built, { force: true });
    throw new SetupError(
      `OPA ${version} could not be built with Go: install opa ${version} on PATH or set WEIR_OPA\n${tail(output)}`,
    );
  }
  const { WEIR_OPA_URL: url, WEIR_OPA_SHA256: sha256 } = process.env;
  if (url && sha256) return downloadOpa(url, sha256, cached);
  throw new SetupError(
    `OPA ${version} is needed to compile policies and was not found: put opa on PATH, install Go so that it can be built, or set WEIR_OPA_URL and WEIR_OPA_SHA256 to a release and its checksum`,
  );
}

async function downloadOpa(url, sha256, target) {
  process.stderr.write('… downloading OPA\n');
  const response = await fetch(url);
  if (!response.ok) throw new SetupError(`the OPA release answered ${response.status}: check WEIR_OPA_URL`);
  const bytes = Buffer.from(await response.arrayBuffer());
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256.toLowerCase())
    throw new SetupError(`the OPA release has SHA-256 ${found}, not WEIR_OPA_SHA256: it was not installed`);
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, bytes);
  chmodSync(temporary, 0o755);
  renameSync(temporary, target);
  return target;
}

function pinnedOpaVersion() {
  const match = /github\.com\/open-policy-agent\/opa v(\S+)/.exec(readFileSync(join(OPA_MODULE, 'go.mod'), 'utf8'));
  if (match === null)
    throw new SetupError('hub/io/tools/opa/go.mod names no OPA version: restore it from the repository');
  return match[1];
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function works(path) {
  const { status, stdout } = spawnSync(path, ['version'], { encoding: 'utf8' });
  return status === 0 && /^Version: 1\./m.test(stdout);
}

/** Runs a command quietly; after two seconds, and every ten from then on, says what is going on. */
function step(what, command, args, cwd, env = process.env) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], shell: WINDOWS });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-16_384);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const say = () => process.stderr.write(`… ${what}: ${Math.round((Date.now() - started) / 1000)} s\n`);
    let timer = setTimeout(() => {
      say();
      timer = setInterval(say, 10_000);
    }, 2000);
    const done = (status) => {
      clearTimeout(timer);
      if (Date.now() - started > 2000)
        process.stderr.write(`✓ ${what}: ${Math.round((Date.now() - started) / 1000)} s\n`);
      resolve({ status, output });
    };
    child.on('error', (error) => {
      output += String(error.message);
      done(127);
    });
    child.on('close', done);
  });
}

function tail(output) {
  return output
    .trim()
    .split('\n')
    .slice(-12)
    .map((line) => `  ${line}`)
    .join('\n');
}

/**
 * Runs the target in the foreground. What a terminal sends reaches it by itself; everything else is passed on. A signal to
 * npm alone ends only the shell between npm and us: that shell's end is one more request to stop.
 */
function handOver(node, args, env) {
  return new Promise((resolve) => {
    const child = spawn(node, args, { cwd: process.cwd(), env, stdio: 'inherit' });
    const forward = (signal) => {
      if (signal === 'SIGTERM' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.env.npm_lifecycle_event === undefined || process.ppid === parent) return;
      clearInterval(watch);
      child.kill('SIGTERM');
    }, PARENT_POLL_MS);
    child.on('error', (error) => {
      process.stderr.write(`weir: ${error.message}\n`);
      clearInterval(watch);
      resolve(1);
    });
    child.on('exit', (code, signal) => {
      clearInterval(watch);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 143));
    });
  });
}

main().catch((error) => {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`weir: ${error.message}\n`);
  process.exitCode = 1;
});
