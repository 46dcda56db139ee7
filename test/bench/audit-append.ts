// `audit-append`: durable rows per second with 64 writers, each waiting for its own row, against the same batches written
// bare: one O_DSYNC write after the other of as many bytes, without framing, checksum, row or promise. The bare writer is
// the limit that this disk sets.

import { mkdtempSync, rmSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { write } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { openSpoolDisk } from '@weir/spoke/io/spool-disk.ts';
import { systemClock } from '@weir/spoke/io/system-clock.ts';
import { systemRandom } from '@weir/spoke/io/system-random.ts';
import { logParts, receiptFor } from '../audit/log-parts.ts';
import { servedDraft } from '../audit/sample-rows.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded, table } from './figures.ts';

const WRITERS = 64;
const ROUNDS = 4;
const ROUND_MS = 1_500;
const WARM_UP_MS = 500;
const SEGMENT_BYTES = 64 << 20;
const AIMS = { rows_per_s: 100_000, raw: 0.5, p99_ms: 5 } as const;

interface Sample {
  rows: number;
  ms: number;
  readonly latencies: number[];
}

export async function run({ print }: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  const log = await createAuditLog({
    ...logParts,
    disk: await openSpoolDisk(join(folder, 'spool')),
    clock: systemClock,
    random: systemRandom,
    limits: { segmentBytes: SEGMENT_BYTES, keepBytes: 0 },
  });
  try {
    const rowBytes = await sizeOfRow(log);
    await appendFor(log, WARM_UP_MS);
    await acknowledgeAll(log);
    const weir: Sample = { rows: 0, ms: 0, latencies: [] };
    const raw: Sample = { rows: 0, ms: 0, latencies: [] };
    for (let round = 1; round <= ROUNDS; round += 1) {
      add(weir, await appendFor(log, ROUND_MS));
      await acknowledgeAll(log);
      add(raw, await writeBareFor(join(folder, 'bare'), rowBytes * WRITERS, ROUND_MS));
      print(`round ${round} of ${ROUNDS}: ${Math.round((weir.rows / weir.ms) * 1000)} rows/s so far`);
    }
    return report(print, rowBytes, figuresOf(weir), figuresOf(raw));
  } finally {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** 64 closed loops over one prepared verdict, as cached installs make them. */
async function appendFor(log: AuditLog, ms: number): Promise<Sample> {
  const template = log.template(servedDraft());
  const latencies: number[] = [];
  const started = performance.now();
  const end = started + ms;
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      for (let at = performance.now(); at < end; ) {
        const time = new Date().toISOString();
        await log.appendTo(template, { id: systemRandom.uuid(), time, duration_us: 250, trace: '', code: '' });
        const now = performance.now();
        latencies.push(now - at);
        at = now;
      }
    }),
  );
  return { rows: latencies.length, ms: performance.now() - started, latencies };
}

/** One durable write of a batch's bytes after the other, into a file that is allocated and zeroed beforehand. */
async function writeBareFor(path: string, batchBytes: number, ms: number): Promise<Sample> {
  const zeroed = await open(path, 'w');
  await zeroed.writeFile(Buffer.alloc(SEGMENT_BYTES));
  await zeroed.sync();
  await zeroed.close();
  const file = await open(path, constants.O_WRONLY | constants.O_DSYNC);
  const batch = Buffer.alloc(batchBytes, 'x');
  const latencies: number[] = [];
  const started = performance.now();
  let offset = 0;
  for (let at = started; at < started + ms; ) {
    if (offset + batchBytes > SEGMENT_BYTES) offset = 0;
    const place = offset;
    await new Promise<void>((resolve, reject) => {
      write(file.fd, batch, 0, batchBytes, place, (error, written) => {
        if (error === null && written === batchBytes) resolve();
        else reject(error ?? new Error('a write came up short'));
      });
    });
    offset += batchBytes;
    const now = performance.now();
    latencies.push(now - at);
    at = now;
  }
  const sample = { rows: latencies.length * WRITERS, ms: performance.now() - started, latencies };
  await file.close();
  return sample;
}

async function sizeOfRow(log: AuditLog): Promise<number> {
  const { index } = await log.append(servedDraft());
  const { rows } = await log.read(index, 1, 1);
  return rows[0]?.length ?? 0;
}

/** As the hub would: frees the segments, and lets their removal and the next allocation finish outside the measured time. */
async function acknowledgeAll(log: AuditLog): Promise<void> {
  await log.acknowledge(await receiptFor(log, log.stats().durableIndex));
}

function add(total: Sample, round: Sample): void {
  total.rows += round.rows;
  total.ms += round.ms;
  for (const latency of round.latencies) total.latencies.push(latency);
}

function figuresOf({ rows, ms, latencies }: Sample): Figures {
  return {
    rows_per_s: rounded((rows / ms) * 1000),
    p50_ms: rounded(percentile(latencies, 0.5)),
    p99_ms: rounded(percentile(latencies, 0.99)),
  };
}

function line(name: string, { rows_per_s = 0, p50_ms = 0, p99_ms = 0 }: Figures) {
  return [name, rows_per_s, p50_ms, p99_ms];
}

function report(print: (line: string) => void, rowBytes: number, weir: Figures, raw: Figures): BenchResult {
  const ratio = rounded((weir['rows_per_s'] ?? 0) / (raw['rows_per_s'] ?? 1));
  const held =
    (weir['rows_per_s'] ?? 0) >= AIMS.rows_per_s && ratio >= AIMS.raw && (weir['p99_ms'] ?? Infinity) <= AIMS.p99_ms;
  print(`${WRITERS} writers, rows of ${rowBytes} bytes; raw = the same bytes per batch, one write at a time`);
  print(table([['', 'rows/s', 'p50 ms', 'p99 ms'], line('weir', weir), line('raw', raw)]));
  return { bench: 'audit-append', unit: 'rows_per_s', weir, peers: { raw }, ratios: { raw: ratio }, aims: AIMS, held };
}
