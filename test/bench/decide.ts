// `decide`: one full decision (encode and hash the input, floor, overlay, join) in process, against the same policies in
// `opa run --server` asked over loopback with keep-alive, and in OPA's own evaluator (`opa bench`). The policies are the
// shipped floor and an overlay of a unit, the input is what an ordinary allowed install gives.

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { digestOf } from '@weir/shared/domain/digest.ts';
import type { Evidence, SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import { type PolicyEngine, createEngine } from '@weir/shared/policy/engine.ts';
import { FLOOR_ENTRYPOINT, type PolicyInput, overlayEntrypoint } from '@weir/shared/policy/input.ts';
import {
  NOW,
  THREAD_TIME,
  candidate,
  exceptionsLayer,
  inputOf,
  rulesLayer,
  settings,
} from '../policy/engine/fixtures.ts';
import { buildFolder, opaPath } from '../policy/engine/opa.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded, table } from './figures.ts';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));
const FLOOR = ['floor', 'main', 'lib'].map((folder) => join(POLICIES, folder));
const OVERLAY = [join(POLICIES, 'overlay', 'payments'), join(POLICIES, 'lib')];
/** Both layers behind one rule, so that a peer answers them in one question. */
const BOTH = `package weir.bench\n\nboth := {"floor": data.weir.floor.main.result, "overlay": data.weir.overlay.payments.result}\n`;

const ROUNDS = 3;
const PER_ROUND = { weir: 10_000, opa: 1500 } as const;
const WARM_UP = { weir: 20_000, opa: 500 } as const;
const SERVER_READY_MS = 15_000;
const AIMS = { opa: 15, 'opa-native': 2, p50_us: 50 } as const;

export async function run(options: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  const input = ordinaryInput();
  writeFileSync(join(folder, 'data.json'), JSON.stringify({ settings: settings() }));
  writeFileSync(join(folder, 'input.json'), JSON.stringify(input));
  writeFileSync(join(folder, 'both.rego'), BOTH);
  const policies = [...FLOOR, OVERLAY[0] as string, join(folder, 'both.rego'), join(folder, 'data.json')];
  const engine = await engineOf();
  const server = await startServer(policies);
  try {
    await assertSameAnswers(engine, server, input);
    const weir: number[] = [];
    const opa: number[] = [];
    const native: Figures[] = [];
    await warmUp(engine, server, input);
    for (let round = 1; round <= ROUNDS; round += 1) {
      timeDecisions(engine, input, PER_ROUND.weir, weir);
      await timeRequests(server, input, PER_ROUND.opa, opa);
      native.push(await nativeFigures(policies, join(folder, 'input.json')));
      options.print(`round ${round} of ${ROUNDS}: weir p50 ${rounded(percentile(weir, 0.5))} µs so far`);
    }
    return report(options, engine.inputBytes(input).length, figuresOf(weir), figuresOf(opa), medianOf(native));
  } finally {
    engine.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(options: BenchOptions, inputBytes: number, weir: Figures, opa: Figures, native: Figures): BenchResult {
  const ratio = (peer: Figures): number => rounded((peer['p50_us'] ?? Number.NaN) / (weir['p50_us'] ?? Number.NaN));
  const ratios = { opa: ratio(opa), 'opa-native': ratio(native) };
  options.print(`input ${inputBytes} bytes, shipped floor and the overlay of payments`);
  options.print(
    table([
      ['', 'p50 µs', 'p99 µs', 'evaluations/s', 'weir is faster by'],
      ['weir', weir['p50_us'] ?? '', weir['p99_us'] ?? '', weir['evaluations_per_s'] ?? '', ''],
      ['opa run --server', opa['p50_us'] ?? '', opa['p99_us'] ?? '', opa['evaluations_per_s'] ?? '', `${ratios.opa}x`],
      [
        'opa bench',
        native['p50_us'] ?? '',
        native['p99_us'] ?? '',
        native['evaluations_per_s'] ?? '',
        `${ratios['opa-native']}x`,
      ],
    ]),
  );
  const held =
    ratios.opa >= AIMS.opa && ratios['opa-native'] >= AIMS['opa-native'] && (weir['p50_us'] ?? Infinity) < AIMS.p50_us;
  return {
    bench: 'decide',
    unit: 'µs',
    weir: { ...weir, input_bytes: inputBytes },
    peers: { opa, 'opa-native': native },
    ratios,
    aims: AIMS,
    held,
  };
}

function figuresOf(microseconds: readonly number[]): Figures {
  const total = microseconds.reduce((sum, one) => sum + one, 0);
  return {
    p50_us: rounded(percentile(microseconds, 0.5)),
    p99_us: rounded(percentile(microseconds, 0.99)),
    evaluations_per_s: rounded((microseconds.length / total) * 1e6),
  };
}

/** The round with the middle p50. */
function medianOf(rounds: readonly Figures[]): Figures {
  return rounds.toSorted((a, b) => (a['p50_us'] ?? 0) - (b['p50_us'] ?? 0))[Math.floor(rounds.length / 2)] ?? {};
}

async function engineOf(): Promise<PolicyEngine> {
  const flags = ['--ignore', '*_test.rego'];
  return createEngine({
    floor: buildFolder(FLOOR, FLOOR_ENTRYPOINT, flags),
    overlay: buildFolder(OVERLAY, overlayEntrypoint('payments'), flags),
    rules: rulesLayer([]),
    exceptions: exceptionsLayer(),
    settings: settings(),
    unit: 'payments',
    bundle: digestOf('bench'),
    readsVersion: false,
    clock: THREAD_TIME,
  });
}

function clear(value: JsonObject = {}): SignalOutcome {
  return { state: 'clear', severity: 'none', value, reason: '' };
}

/** An allowed install with all of today's signals. */
function ordinaryInput(): PolicyInput {
  const evidence: Evidence = {
    age: clear({ hours: 2160 }),
    index_hash_mismatch: clear({ algorithm: 'sha512' }),
    install_script: clear(),
    known_malicious: clear(),
    licence: clear({ licence: 'MIT', ids: ['MIT'] }),
    namespace_shadow: clear(),
    new_package: clear(),
    provenance_state: clear(),
    trust_downgrade: clear(),
    typosquat_distance: clear(),
    withdrawn_state: clear(),
  };
  return inputOf({ ...candidate('nothing', { published_at: NOW - 400 * 86_400 }), evidence });
}

interface Server {
  ask(input: PolicyInput): Promise<unknown>;
  stop(): Promise<void>;
}

async function startServer(policies: readonly string[]): Promise<Server> {
  const port = await freePort();
  const args = [
    'run',
    '--server',
    '--addr',
    `127.0.0.1:${port}`,
    '--log-level',
    'error',
    '--ignore',
    '*_test.rego',
    ...policies,
  ];
  const child: ChildProcess = spawn(opaPath(), args, { stdio: 'ignore' });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = async (input: PolicyInput): Promise<unknown> => {
    const body = Buffer.from(JSON.stringify({ input }));
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': body.length };
      const call = request(
        { agent, host: '127.0.0.1', port, method: 'POST', path: '/v1/data/weir/bench/both', headers },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve((JSON.parse(Buffer.concat(chunks).toString()) as { result?: unknown }).result),
          );
          response.on('error', reject);
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  };
  const deadline = performance.now() + SERVER_READY_MS;
  for (;;) {
    try {
      await ask(ordinaryInput());
      break;
    } catch (thrown) {
      if (performance.now() > deadline || child.exitCode !== null) throw thrown;
      await sleep(50);
    }
  }
  return {
    ask,
    stop: async () => {
      agent.destroy();
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A race between different answers would mean nothing. */
async function assertSameAnswers(engine: PolicyEngine, server: Server, input: PolicyInput): Promise<void> {
  const layers = (['floor', 'overlay'] as const).map((layer) => {
    const answer = engine.evaluateLayer(layer, input as unknown as JsonObject);
    assert.ok(answer.ok);
    return [layer, answer.output] as const;
  });
  assert.deepEqual(await server.ask(input), Object.fromEntries(layers));
  assert.equal(engine.decide(input)[0]?.level, 'allow');
}

async function warmUp(engine: PolicyEngine, server: Server, input: PolicyInput): Promise<void> {
  timeDecisions(engine, input, WARM_UP.weir, []);
  await timeRequests(server, input, WARM_UP.opa, []);
}

function timeDecisions(engine: PolicyEngine, input: PolicyInput, times: number, samples: number[]): void {
  for (let i = 0; i < times; i += 1) {
    const start = performance.now();
    engine.decide(input);
    samples.push((performance.now() - start) * 1000);
  }
}

async function timeRequests(server: Server, input: PolicyInput, times: number, samples: number[]): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const start = performance.now();
    await server.ask(input);
    samples.push((performance.now() - start) * 1000);
  }
}

/** OPA's own benchmark: prepared query, parsed input, evaluation alone. */
async function nativeFigures(policies: readonly string[], inputFile: string): Promise<Figures> {
  const data = policies.flatMap((path) => ['--data', path]);
  const args = [
    'bench',
    '--format',
    'json',
    '--input',
    inputFile,
    '--ignore',
    '*_test.rego',
    ...data,
    'data.weir.bench.both',
  ];
  const { stdout } = await promisify(execFile)(opaPath(), args, { maxBuffer: 16 << 20 });
  const { N, T, Extra } = JSON.parse(stdout) as {
    readonly N: number;
    readonly T: number;
    readonly Extra: Readonly<Record<string, number>>;
  };
  const timer = (share: string): number => (Extra[`histogram_timer_rego_query_eval_ns_${share}`] ?? Number.NaN) / 1000;
  return { p50_us: rounded(timer('median')), p99_us: rounded(timer('99%')), evaluations_per_s: rounded((N / T) * 1e9) };
}
