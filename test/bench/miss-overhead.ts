// miss-overhead: what an artifact that nobody asked for before costs through the spoke, against the same artifact straight
// from upstream. Every request of either side is for a file of its own, so every one through the spoke is a miss: judged,
// recorded, fetched, hashed, stored and streamed. Also checked: that the first bytes arrive while upstream is still
// sending, and that memory stays flat under large downloads.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startBenchSpoke, stop } from './bench-spoke.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded } from './figures.ts';
import { LARGE_BYTES, PACED_MS, SIZES, type UpstreamPlan } from './miss-overhead-plan.ts';
import { memoryOf } from './serve-hit-process.ts';

const AIMS = { added_p50_ms: 10, first_byte_share: 0.5, memory_growth_mb: 96 };
/** Per size and side. */
const FILES = 100;
const WARM_UP_FILES = 10;
const LARGE_DOWNLOADS = 6;

interface Timing {
  readonly firstMs: number;
  readonly totalMs: number;
  readonly bytes: number;
}

export async function run({ print }: BenchOptions): Promise<BenchResult> {
  const plan: UpstreamPlan = { files: 2 * (FILES + WARM_UP_FILES), large: LARGE_DOWNLOADS };
  const upstream = fork(join(import.meta.dirname, 'miss-overhead-upstream.ts'), [JSON.stringify(plan)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    const origin = await originOf(upstream);
    const spoke = await startBenchSpoke(origin);
    try {
      const weir: Record<string, number> = {};
      const straight: Record<string, number> = {};
      let errors = 0;
      for (const { name, bytes, suffix } of SIZES) {
        // The document first: this measures artifacts.
        await timed(`${spoke.npm}/${name}`);
        const through: number[] = [];
        const direct: number[] = [];
        for (let i = 0; i < FILES + WARM_UP_FILES; i += 1) {
          for (const [base, samples, version] of [
            [origin, direct, 2 * i],
            [spoke.npm, through, 2 * i + 1],
          ] as const) {
            const { totalMs, bytes: got } = await timed(`${base}/${name}/-/${name}-1.0.${version}.tgz`);
            if (got !== bytes) errors += 1;
            if (i >= WARM_UP_FILES) samples.push(totalMs);
          }
        }
        weir[`p50_ms${suffix}`] = rounded(percentile(through, 0.5));
        weir[`p99_ms${suffix}`] = rounded(percentile(through, 0.99));
        straight[`p50_ms${suffix}`] = rounded(percentile(direct, 0.5));
        straight[`p99_ms${suffix}`] = rounded(percentile(direct, 0.99));
        weir[`added_p50_ms${suffix}`] = rounded(percentile(through, 0.5) - percentile(direct, 0.5));
        print(
          `${bytes} bytes: ${straight[`p50_ms${suffix}`]} ms straight, ${weir[`p50_ms${suffix}`]} ms through the spoke`,
        );
      }
      const paced = await timed(`${spoke.npm}/bench-paced/-/bench-paced-1.0.0.tgz`);
      weir['first_byte_share'] = rounded(paced.firstMs / PACED_MS);
      print(`first bytes of a ${PACED_MS} ms download after ${Math.round(paced.firstMs)} ms`);

      const before = memoryOf(spoke.pid).now;
      let highest = before;
      const watching = setInterval(() => {
        highest = Math.max(highest, memoryOf(spoke.pid).now);
      }, 20);
      const large = await Promise.all(
        Array.from({ length: LARGE_DOWNLOADS }, (_, i) => timed(`${spoke.npm}/bench-large/-/bench-large-1.0.${i}.tgz`)),
      );
      clearInterval(watching);
      errors += large.filter(({ bytes }) => bytes !== LARGE_BYTES).length;
      weir['memory_growth_mb'] = rounded((highest - before) / 2 ** 20);
      weir['errors'] = errors;
      print(
        `${LARGE_DOWNLOADS} downloads of ${LARGE_BYTES >> 20} MiB at once: ${weir['memory_growth_mb']} MiB more memory`,
      );
      return resultOf(weir, straight, errors);
    } finally {
      await spoke.close();
    }
  } finally {
    await stop(upstream);
  }
}

function resultOf(weir: Figures, straight: Figures, errors: number): BenchResult {
  const at = (name: keyof typeof AIMS): boolean => !((weir[name] ?? Number.POSITIVE_INFINITY) > AIMS[name]);
  return {
    bench: 'miss-overhead',
    unit: 'ms',
    weir,
    peers: { straight },
    ratios: Object.fromEntries(
      SIZES.map(({ suffix }) => [
        `straight${suffix}`,
        rounded((straight[`p50_ms${suffix}`] ?? Number.NaN) / (weir[`p50_ms${suffix}`] ?? Number.NaN)),
      ]),
    ),
    aims: AIMS,
    held: errors === 0 && at('added_p50_ms') && at('first_byte_share') && at('memory_growth_mb'),
  };
}

/** One GET, its body read and thrown away. */
async function timed(url: string): Promise<Timing> {
  const startedMs = performance.now();
  const response = await fetch(url);
  let firstMs = Number.NaN;
  let bytes = 0;
  if (response.status !== 200 || response.body === null) {
    throw new Error(`${new URL(url).pathname} answered ${response.status}: ${await response.text()}`);
  }
  for await (const chunk of response.body) {
    if (bytes === 0) firstMs = performance.now() - startedMs;
    bytes += chunk.length;
  }
  return { firstMs, totalMs: performance.now() - startedMs, bytes };
}

async function originOf(child: ChildProcess): Promise<string> {
  const [port] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('the upstream of the benchmark did not start'))),
  ])) as [number];
  return `http://127.0.0.1:${port}`;
}
