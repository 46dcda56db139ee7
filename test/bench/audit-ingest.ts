// `audit-ingest`: rows a second from spokes into Postgres: signed batches over gRPC with mutual TLS on loopback, verified,
// committed, receipted. Against a bare binary COPY of the same rows into an equal table of the same database, without a
// network, a check or a promise to anybody, over one connection and over as many as the hub has lanes. `--rows=N` per round,
// `--logs=N` says how many logs upload at once.

import { generateKeyPairSync } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { checkBatch } from '@weir/hub/audit/check-batch.ts';
import { LANE_LIMITS } from '@weir/hub/audit/lanes.ts';
import { makePartitions } from '@weir/hub/audit/partition-job.ts';
import { makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import type { PreparedRows } from '@weir/hub/store/audit-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { copyIn } from '@weir/hub/store/postgres/copy-in.ts';
import { COPY_ROWS, copyMessages, packRows } from '@weir/hub/store/postgres/copy-rows.ts';
import { migrate } from '@weir/hub/store/postgres/migrate.ts';
import { createPool, inTransaction, type Pool } from '@weir/hub/store/postgres/pool.ts';
import {
  AuditService,
  PositionRequestSchema,
  type UploadRequest,
  UploadRequestSchema,
} from '@weir/proto/weir/audit/v1/audit_pb.ts';
import type { HubChannel } from '@weir/spoke/io/hub-channel.ts';
import { BATCH_ROWS_MAX, decodeAnswer, decodePosition, encodeBatch, encodeOpening } from '@weir/shared/wire/audit.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import type { HubProcessInput } from '../audit/hub-process.ts';
import { channelOf } from '../audit/mutual-tls.ts';
import { refusedDraft, servedDraft } from '../audit/sample-rows.ts';
import { type SigningLog, type SigningSpoke, signingSpoke } from '../audit/signing-spoke.ts';
import { quiet } from '../hub/database.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded, table } from './figures.ts';
import { cpuUs, memoryOf } from './serve-hit-process.ts';

const ROWS_DEFAULT = 40_000;
const LOGS_DEFAULT = 4;
const ROUNDS = 4;
/** As a spoke's shipper has it. */
const WINDOW = 16;
/** Batches in one transaction of the bare COPY: 8,192 rows, where it is at its fastest. */
const COPY_RUNS = 32;
const AIMS = { copy: 0.5, hub_us_per_row: 10 } as const;
const HUB = join(import.meta.dirname, '..', 'audit', 'hub-process.ts');
const methods = grpcMethods(AuditService);

/** One log of one round: what is uploaded, and the same rows as COPY takes them. */
interface Load {
  readonly log: SigningLog;
  readonly requests: readonly UploadRequest[];
  readonly runs: readonly PreparedRows[];
}

interface Sample {
  rows: number;
  ms: number;
  hubUs: number;
  readonly latencies: number[];
}

export async function run({ print, flags }: BenchOptions): Promise<BenchResult> {
  const logs = Number(flags['logs'] ?? LOGS_DEFAULT);
  const batches = Math.ceil(Number(flags['rows'] ?? ROWS_DEFAULT) / logs / BATCH_ROWS_MAX);
  const folder = await mkdtemp(join(tmpdir(), 'weir-bench-'));
  const settings = { max_wal_size: '8GB', shared_buffers: '1GB' };
  const server = await startEmbeddedPostgres({ home: folder, logger: quiet, settings });
  const pool = createPool({ url: server.url, logger: quiet });
  const spoke = signingSpoke();
  let hub: ChildProcess | undefined;
  let channel: HubChannel | undefined;
  try {
    await migrate(pool);
    await makePartitions(createAuditStore(pool), systemClock, new AbortController().signal);
    await makeEqualTable(pool);
    const ca = await makeAuthority('trial', Date.now(), systemRandom);
    const started = await startHub({
      databaseUrl: server.url,
      port: 0,
      ca,
      receiptKey: generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }),
      enrolled: { [`${spoke.unit}/${spoke.spoke}`]: spoke.publicKey.toString('hex') },
    });
    hub = started.child;
    channel = await channelOf(await openAuthority('trial', ca, systemRandom), spoke, started.port);
    const weir: Sample = { rows: 0, ms: 0, hubUs: 0, latencies: [] };
    const copies = { one: [] as number[], lanes: [] as number[] };
    const ratios = { one: [] as number[], lanes: [] as number[] };
    let rowBytes = 0;
    for (let round = 0; round <= ROUNDS; round += 1) {
      const loads = await makeLoads(spoke, round, logs, batches);
      rowBytes = (loads[0]?.log.rows.reduce((sum, row) => sum + row.length, 0) ?? 0) / (loads[0]?.log.rows.length ?? 1);
      const sample = await upload(channel, hub.pid ?? 0, loads);
      const one = await copy(pool, loads, 1);
      const lanes = await copy(pool, loads, LANE_LIMITS.lanes);
      await pool.query('TRUNCATE audit_rows, bare_rows');
      await pool.query('CHECKPOINT');
      // The first round warms up both sides.
      if (round === 0) continue;
      add(weir, sample);
      const rate = (sample.rows / sample.ms) * 1000;
      copies.one.push(one);
      copies.lanes.push(lanes);
      ratios.one.push(rate / one);
      ratios.lanes.push(rate / lanes);
      print(
        `round ${round} of ${ROUNDS}: ${Math.round(rate)} rows/s, bare COPY ${Math.round(one)}, over ${LANE_LIMITS.lanes} connections ${Math.round(lanes)}`,
      );
    }
    const figures: Figures = {
      rows_per_s: rounded((weir.rows / weir.ms) * 1000),
      hub_us_per_row: rounded(weir.hubUs / weir.rows),
      hub_peak_mb: rounded(memoryOf(hub.pid ?? 0).peak / 2 ** 20),
      batch_p50_ms: rounded(percentile(weir.latencies, 0.5)),
      batch_p99_ms: rounded(percentile(weir.latencies, 0.99)),
    };
    const peers = {
      copy: { rows_per_s: median(copies.one) },
      [`copy_${LANE_LIMITS.lanes}`]: { rows_per_s: median(copies.lanes) },
    };
    const ratio = { copy: median(ratios.one), [`copy_${LANE_LIMITS.lanes}`]: median(ratios.lanes) };
    print(
      `rows of ${Math.round(rowBytes)} bytes, ${logs} logs, batches of ${BATCH_ROWS_MAX}, ${WINDOW} of a log under way`,
    );
    print(
      table([
        ['', 'rows/s'],
        ['weir', figures['rows_per_s'] ?? 0],
        ...Object.entries(peers).map(([name, each]) => [name, each.rows_per_s]),
      ]),
    );
    print(`hub: ${figures['hub_us_per_row']} µs of CPU a row, at most ${figures['hub_peak_mb']} MB`);
    return {
      bench: 'audit-ingest',
      unit: 'rows_per_s',
      weir: figures,
      peers,
      ratios: ratio,
      aims: AIMS,
      held: (ratio['copy'] ?? 0) >= AIMS.copy && (figures['hub_us_per_row'] ?? Infinity) <= AIMS.hub_us_per_row,
    };
  } finally {
    channel?.close();
    if (hub !== undefined) {
      hub.kill('SIGKILL');
      await once(hub, 'exit');
    }
    await pool.end();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Same columns, defaults, constraints and indexes as the ledger's table, with one partition for all times. */
async function makeEqualTable(pool: Pool): Promise<void> {
  await pool.query('CREATE TABLE bare_rows (LIKE audit_rows INCLUDING ALL) PARTITION BY RANGE (event_time)');
  await pool.query('CREATE TABLE bare_rows_all PARTITION OF bare_rows DEFAULT');
}

async function startHub(input: HubProcessInput): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = spawn(process.execPath, [HUB], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin?.end(JSON.stringify(input));
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, port: Number(/port (\d+)/.exec(line.toString())?.[1]) };
}

/** New logs for a round: installs, and one refusal with a reason in 25. */
async function makeLoads(spoke: SigningSpoke, round: number, logs: number, batches: number): Promise<readonly Load[]> {
  return Promise.all(
    Array.from({ length: logs }, async (_, n) => {
      const log = spoke.log({ worker: `w${n}`, epoch: `r${round}` });
      log.add(batches * BATCH_ROWS_MAX, (row) => {
        const subject = { purl: `pkg:npm/package-${row % 1000}@1.${row % 17}.0`, digest: '' };
        return row % 25 === 0 ? refusedDraft({ subject }) : servedDraft({ subject });
      });
      const requests: UploadRequest[] = [];
      const runs: PreparedRows[] = [];
      for (let from = 0; from < log.rows.length; from += BATCH_ROWS_MAX) {
        const batch = await log.batch(from, from + BATCH_ROWS_MAX);
        const checked = checkBatch(spoke, batch, { key: log.key, receivedAtMs: Date.now(), prepare: packRows });
        if (checked.kind === 'bad') throw new Error(checked.detail);
        runs.push(checked.rows);
        requests.push(create(UploadRequestSchema, encodeBatch(batch)));
      }
      return { log, requests, runs };
    }),
  );
}

/** Uploads all logs at once, each over its own stream within the window, until every row is receipted. */
async function upload(channel: HubChannel, pid: number, loads: readonly Load[]): Promise<Sample> {
  const signal = new AbortController().signal;
  for (const { log } of loads) {
    const opening = log.opening({ checkpoint: new Uint8Array() });
    const position = decodePosition(
      await channel.unary(methods.position, create(PositionRequestSchema, encodeOpening(opening)), signal),
    );
    if (position.nextIndex !== 0 || position.state !== 'open') throw new Error('a new log is not new');
  }
  const latencies: number[] = [];
  const cpuBefore = cpuUs(pid);
  const started = performance.now();
  await Promise.all(loads.map((load) => uploadOne(channel, load, latencies)));
  const ms = performance.now() - started;
  const rows = loads.reduce((sum, { log }) => sum + log.rows.length, 0);
  return { rows, ms, hubUs: cpuUs(pid) - cpuBefore, latencies };
}

async function uploadOne(channel: HubChannel, { log, requests }: Load, latencies: number[]): Promise<void> {
  const call = channel.duplex(methods.upload);
  const sent: number[] = [];
  let next = 0;
  const send = (): void => {
    const request = requests[next];
    if (request === undefined) return;
    next += 1;
    sent.push(performance.now());
    call.write(request);
  };
  for (let n = 0; n < WINDOW; n += 1) send();
  for (let answered = 0; answered < requests.length; answered += 1) {
    const response = (await nextOf(call)) as Parameters<typeof decodeAnswer>[0];
    const answer = decodeAnswer(response);
    if (answer.kind === 'nack') throw new Error(`${answer.code}: ${answer.detail}`);
    latencies.push(performance.now() - (sent[answered] ?? 0));
    if (answered === requests.length - 1 && answer.nextIndex !== log.rows.length) throw new Error('rows are missing');
    send();
  }
  call.end();
  call.resume();
}

async function nextOf(stream: NodeJS.ReadableStream): Promise<unknown> {
  for (;;) {
    const item = stream.read() as unknown;
    if (item !== null) return item;
    await once(stream, 'readable');
  }
}

/** Rows a second of COPY over some connections at once. */
async function copy(pool: Pool, loads: readonly Load[], connections: number): Promise<number> {
  const pieces: (readonly Buffer[])[] = [];
  let rows = 0;
  for (const { log, runs } of loads) {
    rows += log.rows.length;
    for (let from = 0; from < runs.length; from += COPY_RUNS)
      pieces.push(copyMessages(runs.slice(from, from + COPY_RUNS)));
  }
  await pool.query('TRUNCATE bare_rows');
  const statement = COPY_ROWS.replace('COPY audit_rows', 'COPY bare_rows');
  const started = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
        const messages = piece;
        await inTransaction(pool, (client) => copyIn(client, statement, messages));
      }
    }),
  );
  return (rows / (performance.now() - started)) * 1000;
}

function median(list: readonly number[]): number {
  return rounded(percentile(list, 0.5));
}

function add(total: Sample, round: Sample): void {
  total.rows += round.rows;
  total.ms += round.ms;
  total.hubUs += round.hubUs;
  for (const latency of round.latencies) total.latencies.push(latency);
}
