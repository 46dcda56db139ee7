// serve-hit: a cached artifact over keep-alive connections, closed loop, against nginx (the limit: no policy, no audit),
// Verdaccio (the peer) and the bare spoke (what the bytes alone cost). All contenders serve the same tarballs, are up at
// the same time, take turns round by round on the same core, and are driven from another one. Figures are medians of the
// rounds, ratios medians of the rounds' ratios; CPU time per request (user and system, all threads) is the least of the
// rounds, because neighbours on the machine can only add to it. `--against=FOLDER` adds the spoke of another checkout.

import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { type BuiltNpmPackage, buildNpm } from '../upstreams/npm-package.ts';
import { startVerdaccio } from '../upstreams/verdaccio.ts';
import { startBareSpoke, startBenchSpoke, startBenchSpokeOf } from './bench-spoke.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded, table } from './figures.ts';
import { isOnPath, type Load, load, pin } from './serve-hit-load.ts';
import { startNginx } from './serve-hit-nginx.ts';
import { cpuUs } from './serve-hit-process.ts';

/** 10 KB is the headline, 100 KB the typical larger tarball. */
const SIZES = [
  { name: 'bench-small', bytes: 10_240, suffix: '' },
  { name: 'bench-large', bytes: 102_400, suffix: '_100kb' },
] as const;
const AIMS = { verdaccio: 10, nginx: 0.5, half_load_p50_ms: 1 };
const SERVER_CORE = 0;
const LOAD_CORE = 1;
const CONNECTIONS = 32;
const ROUNDS = 5;
const SECONDS_PER_SAMPLE = 1;
const WARM_UP_SECONDS = 1;

interface Contender {
  readonly name: string;
  readonly pid: number;
  /** In the order of `SIZES`. */
  readonly urls: readonly string[];
  /** In the order of `SIZES`. */
  readonly samples: readonly Sample[][];
}

interface Sample extends Load {
  readonly cpu_us: number;
}

export async function run({ print, flags }: BenchOptions): Promise<BenchResult> {
  const packages = await Promise.all(SIZES.map(packageOf));
  const paths = packages.map(({ source, file }) => `${source.name}/-/${file}`);
  const closing: { close(): Promise<void> }[] = [];
  const contenders: Contender[] = [];
  const add = (name: string, base: string, one: { readonly pid: number; close(): Promise<void> }): void => {
    closing.push(one);
    contenders.push({ name, pid: one.pid, urls: paths.map((path) => `${base}/${path}`), samples: SIZES.map(() => []) });
  };
  try {
    const verdaccio = await startVerdaccio({ packages: packages.map(({ source }) => source) });
    closing.push(verdaccio);
    const spoke = await startBenchSpoke(verdaccio.origin);
    add('weir', spoke.npm, spoke);
    const { against } = flags;
    if (against !== undefined) {
      const earlier = await startBenchSpokeOf(against, verdaccio.origin);
      add('against', earlier.npm, earlier);
    }
    const bare = await startBareSpoke(verdaccio.origin);
    add('bare_spoke', bare.npm, bare);
    add('verdaccio', verdaccio.origin, verdaccio);
    if (await isOnPath('nginx', '-v')) {
      const nginx = await startNginx(Object.fromEntries(packages.map(({ tarball }, i) => [paths[i], tarball])));
      add('nginx', nginx.origin, nginx);
    } else {
      print('nginx is not on PATH: that peer is left out, and its aim cannot be held');
    }
    const wrk = await isOnPath('wrk', '-v');
    if (!wrk) print('wrk is not on PATH: the load comes from Node, which may be the brake');
    const pinned =
      availableParallelism() > 1 &&
      (await Promise.all(contenders.map(({ pid }) => pin(pid, SERVER_CORE)))).every(Boolean);
    if (!pinned) print('processes cannot be bound to cores here: contenders and load share them');
    const target = { connections: CONNECTIONS, ...(pinned ? { core: LOAD_CORE } : {}) };

    for (const { name, urls } of contenders) {
      for (const [i, url] of urls.entries()) {
        const got = Buffer.from(await (await fetch(url)).arrayBuffer());
        if (packages[i]?.tarball.equals(got) !== true) throw new Error(`${name} does not serve the tarball`);
        await load({ ...target, url, seconds: WARM_UP_SECONDS }, wrk);
      }
    }
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const { pid, urls, samples } of contenders) {
        for (const [i, url] of urls.entries()) {
          const before = cpuUs(pid);
          const sample = await load({ ...target, url, seconds: SECONDS_PER_SAMPLE }, wrk);
          samples[i]?.push({ ...sample, cpu_us: (cpuUs(pid) - before) / sample.requests });
        }
      }
      print(`round ${round + 1} of ${ROUNDS}`);
    }
    const [weir, ...others] = contenders;
    if (weir === undefined) throw new Error('nothing was measured');
    const half = await load(
      { ...target, url: weir.urls[0] ?? '', seconds: 2 * SECONDS_PER_SAMPLE, rate: rateOf(weir) / 2 },
      false,
    );
    return resultOf(weir, others, half, print);
  } finally {
    for (const one of closing.toReversed()) await one.close();
  }
}

function resultOf(
  weir: Contender,
  others: readonly Contender[],
  half: Load,
  print: BenchOptions['print'],
): BenchResult {
  const figures: Figures = {
    ...figuresOf(weir),
    half_load_p50_ms: rounded(half.p50_ms),
    half_load_p99_ms: rounded(half.p99_ms),
    half_load_errors: half.errors,
  };
  const peers = Object.fromEntries(others.map((peer) => [peer.name, figuresOf(peer)]));
  const ratios = Object.fromEntries(
    others.flatMap((peer) =>
      SIZES.flatMap(({ suffix }, i) => [
        [`${peer.name}${suffix}`, ratioOf(weir, peer, i)],
        [`${peer.name}_cpu${suffix}`, rounded(leastCpuUs(peer.samples[i] ?? []) / leastCpuUs(weir.samples[i] ?? []))],
      ]),
    ),
  );
  const names = [
    'requests_per_s',
    'p50_ms',
    'p99_ms',
    'cpu_us',
    'requests_per_s_100kb',
    'p50_ms_100kb',
    'cpu_us_100kb',
  ];
  const row = (name: string, values: Figures): (string | number)[] => [name, ...names.map((n) => values[n] ?? '')];
  print(table([['', ...names], row('weir', figures), ...Object.entries(peers).map(([name, of]) => row(name, of))]));
  print(`at half of its rate: p50 ${figures['half_load_p50_ms']} ms; ratios ${JSON.stringify(ratios)}`);
  const errors = [figures, ...Object.values(peers)].reduce((sum, of) => sum + (of['errors'] ?? 0), half.errors);
  const held =
    errors === 0 &&
    (ratios['verdaccio'] ?? 0) >= AIMS.verdaccio &&
    (ratios['nginx'] ?? 0) >= AIMS.nginx &&
    half.p50_ms < AIMS.half_load_p50_ms;
  return { bench: 'serve-hit', unit: 'requests_per_s', weir: figures, peers, ratios, aims: AIMS, held };
}

async function packageOf({ name, bytes }: (typeof SIZES)[number]): Promise<BuiltNpmPackage> {
  return buildNpm({
    name,
    version: '1.0.0',
    publishedAt: '2020-01-01T00:00:00.000Z',
    license: 'MIT',
    // Random bytes as text pack back to about their number, so the tarball has the size asked for.
    files: { 'data.txt': randomBytes(bytes).toString('base64') },
  });
}

function figuresOf({ samples }: Contender): Figures {
  const figures: Record<string, number> = {};
  for (const [i, { suffix }] of SIZES.entries()) {
    const of = (figure: 'requests_per_s' | 'p50_ms' | 'p99_ms'): number =>
      rounded(percentile(samples[i]?.map((sample) => sample[figure]) ?? [], 0.5));
    figures[`requests_per_s${suffix}`] = of('requests_per_s');
    figures[`p50_ms${suffix}`] = of('p50_ms');
    figures[`p99_ms${suffix}`] = of('p99_ms');
    figures[`cpu_us${suffix}`] = rounded(leastCpuUs(samples[i] ?? []));
  }
  figures['errors'] = samples.flat().reduce((sum, { errors }) => sum + errors, 0);
  return figures;
}

function leastCpuUs(samples: readonly Sample[]): number {
  return Math.min(...samples.map(({ cpu_us }) => cpu_us));
}

function rateOf({ samples }: Contender): number {
  return percentile(samples[0]?.map((sample) => sample.requests_per_s) ?? [], 0.5);
}

function ratioOf(weir: Contender, peer: Contender, size: number): number {
  const theirs = peer.samples[size] ?? [];
  const ratios = (weir.samples[size] ?? []).map(
    (ours, round) => ours.requests_per_s / (theirs[round]?.requests_per_s ?? 0),
  );
  return rounded(percentile(ratios, 0.5));
}
