// packument: the index document of a package with 3,000 versions, as an installing npm asks for it. All times are those of
// whole requests over loopback, from asking to the last byte. Cold: the spoke has never seen the document, so it fetches,
// checks, parses, judges every version, and writes the view; compressed, as npm asks for it. Judged anew: the document is at hand, but for this kind of
// client nobody has asked. Warm: nothing has changed. Against Verdaccio serving the same document from its own storage,
// and the upstream that sends prepared bytes.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { startVerdaccio } from '../upstreams/verdaccio.ts';
import { startBenchSpoke, stop } from './bench-spoke.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded, table } from './figures.ts';
import { DOCUMENTS, nameOf, packumentText, VERSIONS } from './packument-plan.ts';
import { cpuUs } from './serve-hit-process.ts';

const AIMS = { cold_p50_ms: 100, warm_p50_ms: 5 } as const;
/** Documents asked for before anything counts. */
const WARM_UP_DOCUMENTS = 8;
const REPEATS = 40;
const ABBREVIATED = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*';
const AS_NPM = { accept: ABBREVIATED, 'accept-encoding': 'gzip, deflate' };
const CLIENTS = ['npm', 'pnpm', 'yarn'] as const;

export async function run({ print }: BenchOptions): Promise<BenchResult> {
  await using cleanup = new AsyncDisposableStack();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanup.defer(() => agent.destroy());
  const upstream = fork(join(import.meta.dirname, 'packument-upstream.ts'), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  cleanup.defer(() => stop(upstream));
  const [port] = (await once(upstream, 'message')) as [number];
  const origin = `http://127.0.0.1:${port}`;
  const spoke = await startBenchSpoke(origin);
  cleanup.defer(() => spoke.close());
  const verdaccio = cleanup.use(await startVerdaccio());
  await seed(verdaccio.storage, nameOf(0));

  const timed = async (
    base: string,
    document: number,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<number> => {
    const startedMs = performance.now();
    const { status, bytes } = await fetchWhole(agent, `${base}/${nameOf(document)}`, {
      ...AS_NPM,
      ...headers,
    });
    const ms = performance.now() - startedMs;
    if (status !== 200 || bytes < VERSIONS)
      throw new Error(`${nameOf(document)} answered ${status} with ${bytes} bytes`);
    return ms;
  };
  const cold: number[] = [];
  const anew: number[] = [];
  let coldCpuUs = 0;
  for (let i = 0; i < DOCUMENTS; i += 1) {
    const [first = '', ...others] = CLIENTS.map((client) => `${client}/11.0.0 node/v26.0.0`);
    const before = cpuUs(spoke.pid);
    const samples = [await timed(spoke.npm, i, { 'user-agent': first })];
    const spent = cpuUs(spoke.pid) - before;
    for (const agentName of others) samples.push(await timed(spoke.npm, i, { 'user-agent': agentName }));
    if (i < WARM_UP_DOCUMENTS) continue;
    coldCpuUs += spent;
    cold.push(samples[0] ?? Number.NaN);
    anew.push(...samples.slice(1));
  }
  const repeated = async (base: string, headers: Readonly<Record<string, string>> = {}): Promise<readonly number[]> => {
    const samples: number[] = [];
    for (let i = -5; i < REPEATS; i += 1) {
      const ms = await timed(base, 0, headers);
      if (i >= 0) samples.push(ms);
    }
    return samples;
  };
  const warm = await repeated(spoke.npm);
  const warmPlain = await repeated(spoke.npm, { 'accept-encoding': 'identity' });
  const peers = {
    verdaccio: figuresOf('', await repeated(verdaccio.origin)),
    straight: figuresOf('', await repeated(origin)),
  };
  const weir: Figures = {
    ...figuresOf('cold_', cold),
    cold_cpu_ms: rounded(coldCpuUs / 1000 / cold.length),
    ...figuresOf('judged_anew_', anew),
    ...figuresOf('warm_', warm),
    ...figuresOf('warm_uncompressed_', warmPlain),
    document_mb: rounded(packumentText(nameOf(0), origin).length / 2 ** 20),
    errors: 0,
  };
  print(`${VERSIONS} versions, ${weir['document_mb']} MiB, abbreviated view, gzip, time of whole requests`);
  print(`a cold one takes ${weir['cold_cpu_ms']} ms of CPU`);
  print(
    table([
      ['', 'p50 ms', 'p99 ms'],
      ...['cold', 'judged_anew', 'warm', 'warm_uncompressed'].map((name) => [
        `weir, ${name.replaceAll('_', ' ')}`,
        weir[`${name}_p50_ms`] ?? '',
        weir[`${name}_p99_ms`] ?? '',
      ]),
      ...Object.entries(peers).map(([name, of]) => [name, of['p50_ms'] ?? '', of['p99_ms'] ?? '']),
    ]),
  );
  const ratio = (peer: Figures, figure: string): number =>
    rounded((peer['p50_ms'] ?? Number.NaN) / (weir[figure] ?? 0));
  return {
    bench: 'packument',
    unit: 'ms',
    weir,
    peers,
    ratios: {
      verdaccio: ratio(peers.verdaccio, 'warm_p50_ms'),
      verdaccio_cold: ratio(peers.verdaccio, 'cold_p50_ms'),
    },
    aims: AIMS,
    held: Object.entries(AIMS).every(([name, aim]) => (weir[name] ?? Number.POSITIVE_INFINITY) < aim),
  };
}

function figuresOf(prefix: string, samples: readonly number[]): Figures {
  return {
    [`${prefix}p50_ms`]: rounded(percentile(samples, 0.5)),
    [`${prefix}p99_ms`]: rounded(percentile(samples, 0.99)),
  };
}

/** Straight into Verdaccio's storage; its tarballs are never asked for. */
async function seed(storage: string, name: string): Promise<void> {
  const document = JSON.parse(packumentText(name, 'http://127.0.0.1')) as Record<string, unknown>;
  await mkdir(join(storage, name), { recursive: true });
  await writeFile(
    join(storage, name, 'package.json'),
    JSON.stringify({
      ...document,
      users: {},
      _uplinks: {},
      _distfiles: {},
      _attachments: {},
      _rev: '1-0000000000000000',
    }),
  );
}

function fetchWhole(
  agent: Agent,
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly bytes: number }> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { agent, headers }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes }));
      response.on('error', reject);
    });
    asked.on('error', reject);
  });
}
