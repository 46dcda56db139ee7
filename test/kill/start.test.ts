// `npm start` as a user meets it: what it prints, how it resumes, how fast it stops at any moment, and one clear sentence for
// each thing that can be wrong. Every process that it starts is looked for by its number afterwards.

import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { readPid, WEIR } from '../../deploy/onprem/trial/processes.ts';
import { databasePid, freePorts, isAlive, processesOf, until } from './fault-ground.ts';

const START = join(dirname(WEIR), 'deploy', 'onprem', 'trial', 'start.ts');
/** Promised to the user, milliseconds from the signal to the end of the last process. */
const STOP_MS = 10_000;
const PARTS = ['hub', 'spoke-payments', 'spoke-research'] as const;

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  out(): string;
  errors(): string;
}

let scratch = '';
const children: ChildProcess[] = [];
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'weir-start-'));
});
after(async () => {
  for (const child of children) {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
  }
  for (const name of readdirSync(scratch))
    for (const pid of pidsOf(join(scratch, name))) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
});

function start(home: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  const child = spawn(process.execPath, [START, ...args], {
    env: { ...process.env, WEIR_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let out = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString('utf8');
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, out: () => out, errors: () => errors };
}

async function portArguments(): Promise<readonly string[]> {
  const { admin, federation, join: joining, spokes } = await freePorts();
  const ports = { admin, federation, join: joining, payments: spokes.payments, research: spokes.research };
  return Object.entries(ports).flatMap(([name, port]) => [`--${name}-port`, String(port)]);
}

const UPSTREAMS = ['--npm-upstream', 'http://127.0.0.1:9/', '--pypi-upstream', 'http://127.0.0.1:9/simple/'];

/** Numbers of everything that runs for a home, the database with it. */
function pidsOf(home: string): readonly number[] {
  const own = PARTS.map((name) => readPid(join(home, 'run', `${name}.pid`))).filter((pid) => pid > 0);
  try {
    return [...own, databasePid(home)];
  } catch {
    return own;
  }
}

async function interrupt(started: Started, signal: NodeJS.Signals, pids: readonly number[]): Promise<number | null> {
  const atMs = performance.now();
  started.child.kill(signal);
  const code = await started.ended;
  const tookMs = performance.now() - atMs;
  assert.deepEqual([...pids, ...processesOf(scratch)].filter(isAlive), [], 'processes are left');
  assert.ok(tookMs < STOP_MS, `stopping took ${Math.round(tookMs)} ms`);
  return code;
}

void test('starts, resumes, stops: the same state, and nothing left running', async () => {
  const home = join(scratch, 'whole');
  const ports = await portArguments();
  const first = start(home, [...ports, ...UPSTREAMS, '--json']);
  await until(() => first.out().includes('\n') || first.child.exitCode !== null, 'the addresses are printed');
  assert.equal(first.child.exitCode, null, first.errors());
  const addresses = JSON.parse(first.out()) as Record<string, string>;
  assert.deepEqual(Object.keys(addresses).toSorted(), ['home', 'hub', 'payments', 'research']);
  assert.equal(addresses['home'], home);
  const ping = await fetch(`${addresses['payments']}/npm/-/ping`);
  assert.equal(ping.status, 200);
  const statusOf = async (): Promise<{ bundle: { digest: string }; log: { log: string } }> => {
    const url = new URL(addresses['payments'] ?? '');
    const response = await fetch(`http://127.0.0.1:${Number(url.port) + 1}/status`);
    return (await response.json()) as { bundle: { digest: string }; log: { log: string } };
  };
  const before1 = await statusOf();

  const second = start(home, [...ports, ...UPSTREAMS]);
  assert.equal(await second.ended, 1);
  assertOneSentence(second, /already running in .*whole \(process \d+\)/);

  const pids = pidsOf(home);
  assert.equal(pids.length, 4, 'hub, two spokes, database');
  assert.equal(await interrupt(first, 'SIGINT', pids), 0);

  const again = start(home, ports);
  await until(() => again.out().includes('Ctrl-C') || again.child.exitCode !== null, 'the banner is printed');
  assert.equal(again.child.exitCode, null, again.errors());
  for (const line of ['npm   install --registry', 'pip   install --index-url', `WEIR_HOME=${home} npx weir audit tail`])
    assert.ok(again.out().includes(line), line);
  const after1 = await statusOf();
  assert.deepEqual([after1.bundle.digest, after1.log.log], [before1.bundle.digest, before1.log.log]);

  // The supervisor killed outright: the federation goes on without it, and the next start ends and replaces it.
  again.child.kill('SIGKILL');
  await again.ended;
  const orphans = pidsOf(home);
  assert.equal(orphans.filter(isAlive).length, 4);
  assert.equal((await fetch(`${addresses['payments']}/npm/-/ping`)).status, 200);
  const third = start(home, [...ports, '--json']);
  await until(() => third.out().includes('\n') || third.child.exitCode !== null, 'the addresses are printed');
  assert.equal(third.child.exitCode, null, third.errors());
  assert.match(third.errors(), /stopped what an earlier run had left behind/);
  assert.deepEqual(orphans.slice(0, 3).filter(isAlive), []);

  // Nobody reads any more what it says, which is no reason to leave anything alone.
  third.child.stdout?.destroy();

  // The hub killed outright leaves its database; the end of the run takes it along.
  const left = pidsOf(home);
  process.kill(left[0] ?? 0, 'SIGKILL');
  await until(() => third.errors().includes('! the hub has ended'), 'the loss is told');
  assert.equal((await fetch(`${addresses['payments']}/npm/-/ping`)).status, 200);
  third.child.stderr?.destroy();
  assert.equal(await interrupt(third, 'SIGTERM', left), 0);
});

void test('a signal during the start stops it at once, and the next start goes on from there', async () => {
  const home = join(scratch, 'interrupted');
  const ports = await portArguments();
  for (const moment of [/starting the hub/, /publishing the policy floor/, /publishing the overlays/]) {
    const started = start(home, [...ports, ...UPSTREAMS, '--json']);
    await until(() => moment.test(started.errors()) || started.child.exitCode !== null, `it says ${moment.source}`);
    assert.equal(started.child.exitCode, null, started.errors());
    await delay(150);
    const pids = pidsOf(home);
    assert.equal(await interrupt(started, 'SIGINT', pids), 130);
    assert.match(started.errors(), /goes on from here/);
  }
  const whole = start(home, [...ports, ...UPSTREAMS, '--json']);
  await until(() => whole.out().includes('\n') || whole.child.exitCode !== null, 'the addresses are printed');
  assert.equal(whole.child.exitCode, null, whole.errors());
  assert.equal(await interrupt(whole, 'SIGINT', pidsOf(home)), 0);
});

void test('a signal to npm alone, as a supervisor sends it, stops what npm started', async () => {
  const home = join(scratch, 'npm');
  const args = ['start', '--silent', '--', ...(await portArguments()), ...UPSTREAMS];
  const env = { ...process.env, WEIR_HOME: home };
  const npm = spawn('npm', args, { cwd: dirname(WEIR), env, stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(npm);
  let errors = '';
  npm.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString('utf8');
  });
  // The pipe closes when the last process that could write to it has ended.
  const ended = new Promise((resolve) => npm.once('close', resolve));
  await until(() => errors.includes('creating the units') || npm.exitCode !== null, 'the set-up is under way');
  assert.equal(npm.exitCode, null, errors);
  assert.notDeepEqual(pidsOf(home), []);
  npm.kill('SIGTERM');
  await ended;
  assert.match(errors, /goes on from here/);
  assert.deepEqual(processesOf(home), []);
});

void test('a hub that dies during the set-up is told with the end of its log', async () => {
  const home = join(scratch, 'dying');
  const started = start(home, [...(await portArguments()), ...UPSTREAMS]);
  await until(() => /publishing the policy floor/.test(started.errors()), 'the set-up is under way');
  process.kill(readPid(join(home, 'run', 'hub.pid')), 'SIGKILL');
  assert.equal(await started.ended, 1);
  assert.match(started.errors(), /^weir: hub ended during the start; the end of its log .*hub\.log:$/m);
  assert.match(started.errors(), /^ +\{.*"part":"hub".*"message":"started the embedded database"/m);
  assert.doesNotMatch(started.errors(), /^\s+at /m);
  assert.deepEqual(processesOf(home), []);
});

void test('a port in use, and one given twice', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  try {
    const { port } = other.address() as { port: number };
    const taken = start(join(scratch, 'port'), [...(await portArguments()), '--admin-port', String(port)]);
    assert.equal(await taken.ended, 1);
    assertOneSentence(taken, new RegExp(`port ${port} is in use .* --admin-port N`));
  } finally {
    other.close();
  }
  const twice = start(join(scratch, 'port'), ['--admin-port', '21999', '--join-port', '21999']);
  assert.equal(await twice.ended, 1);
  assertOneSentence(twice, /--join-port and --admin-port are both 21999/);
});

void test('a home that is a file, below a file, or on a file system that takes no writes', async (t) => {
  const file = join(scratch, 'a-file');
  writeFileSync(file, '');
  for (const home of [file, join(file, 'below')]) {
    const started = start(home, []);
    assert.equal(await started.ended, 1);
    assertOneSentence(started, /the home .* is not a folder: choose another with --home DIR or WEIR_HOME/);
  }
  const mountPoint = join(scratch, 'read-only');
  mkdirSync(mountPoint);
  const asRoot = process.getuid?.() === 0;
  const closed = asRoot ? spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', mountPoint]).status === 0 : true;
  if (!closed) return t.diagnostic('no read-only file system could be mounted here');
  if (!asRoot) chmodSync(mountPoint, 0o500);
  try {
    const started = start(mountPoint, []);
    assert.equal(await started.ended, 1);
    assertOneSentence(started, /the home .*read-only cannot be written \(E\w+\): choose another/);
  } finally {
    if (asRoot) spawnSync('umount', [mountPoint]);
  }
});

void test('a compiler that is no program, and a machine whose clients name no registry', async () => {
  const text = join(scratch, 'opa.txt');
  writeFileSync(text, 'no program');
  const wrong = start(join(scratch, 'tools'), [...(await portArguments()), ...UPSTREAMS], { WEIR_OPA: text });
  assert.equal(await wrong.ended, 1);
  assertOneSentence(wrong, /WEIR_OPA names .*opa\.txt, which is no program that can be run: correct it or unset it/);

  const bin = join(scratch, 'bin');
  mkdirSync(bin);
  // What the database needs as root, and nothing that knows a registry.
  for (const tool of ['id', 'useradd']) {
    const found = ['/usr/bin', '/usr/sbin', '/bin', '/sbin'].map((folder) => join(folder, tool)).find(existsSync);
    if (found !== undefined) symlinkSync(found, join(bin, tool));
  }
  const env = { PATH: bin, PIP_INDEX_URL: '' };
  for (const [args, told] of [
    [['--pypi-upstream', 'http://127.0.0.1:9/simple/'], /this machine's npm names no registry .* --npm-upstream URL/],
    [['--npm-upstream', 'http://127.0.0.1:9/'], /this machine's pip names no registry .* --pypi-upstream URL/],
  ] as const) {
    const home = join(scratch, 'tools');
    const started = start(home, [...(await portArguments()), ...args], env);
    assert.equal(await started.ended, 1);
    assertOneSentence(started, told);
    // The start was stopped while the hub made its database: what a killed hub was running ends by itself.
    await until(() => processesOf(home).length === 0, 'nothing is left running');
  }
});

void test('wrong options end with 2, and --help starts nothing', async () => {
  const wrong = start(join(scratch, 'options'), ['--admin-port', 'seven']);
  assert.equal(await wrong.ended, 2);
  assertOneSentence(wrong, /--admin-port takes a port from 1 to 65534, not seven/);
  const help = start(join(scratch, 'options'), ['--help']);
  assert.equal(await help.ended, 0);
  assert.match(help.out(), /--payments-port N/);
  assert.equal(existsSync(join(scratch, 'options')), false);
});

/** One line that begins with `weir: `, after nothing but progress, and no stack. */
function assertOneSentence(started: Started, what: RegExp): void {
  const told = started
    .errors()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('… '));
  assert.equal(told.length, 1, started.errors());
  assert.match(told[0] ?? '', /^weir: /);
  assert.match(told[0] ?? '', what);
}
