// Clients that never rest: a few loops of plain HTTP requests against the spokes, which remember every answer that they got
// and every time they got none. What they remember is what the ledger must hold.

import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const REQUEST_TIMEOUT_MS = 20_000;
/** Between two requests of one loop: enough to keep the machine answering, little enough to hit every moment. */
const PAUSE_MS = 6;
/** After a request that got no answer. */
const PAUSE_AFTER_FAILURE_MS = 30;

export interface Target {
  readonly unit: string;
  readonly url: string;
  readonly accept: string;
  /** What a client must get whenever it gets an answer. */
  readonly status: number;
}

export interface Received {
  readonly target: Target;
  readonly status: number;
  /** `x-weir-row` of a served artifact, '' otherwise. */
  readonly row: string;
  /** `x-weir-code` of a refusal, '' otherwise. */
  readonly code: string;
  readonly bundle: string;
  readonly body: string;
}

export interface Failure {
  readonly target: Target;
  readonly reason: string;
  /** When the request began and when it failed, monotonic milliseconds. */
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Load {
  /** Answers whose head arrived, whole or not. */
  readonly received: readonly Received[];
  /** Requests that got no answer, or not all of one. */
  readonly failures: readonly Failure[];
  /** Resolves when every target has been answered at least this many more times. */
  answered(times: number): Promise<void>;
  /** Ends the loops; what is under way is finished first. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly loopsPerTarget?: number;
  readonly pauseMs?: number;
  /** Hears of every answer as soon as its head is there. */
  readonly heard?: (answer: Received) => void;
}

export function startLoad(targets: readonly Target[], options: LoadOptions = {}): Load {
  const { loopsPerTarget = 1, pauseMs = PAUSE_MS, heard = () => undefined } = options;
  const received: Received[] = [];
  const failures: Failure[] = [];
  const answers = new Map<Target, number>(targets.map((target) => [target, 0]));
  const stopping = new AbortController();

  async function loop(target: Target): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!stopping.signal.aborted) {
      const fromMs = performance.now();
      try {
        await ask(target, agent, (answer) => {
          received.push(answer);
          heard(answer);
          answers.set(target, (answers.get(target) ?? 0) + 1);
        });
        await delay(pauseMs);
      } catch (thrown) {
        failures.push({ target, reason: reasonOf(thrown), fromMs, untilMs: performance.now() });
        await delay(PAUSE_AFTER_FAILURE_MS);
      }
    }
    agent.destroy();
  }

  const loops = targets.flatMap((target) => Array.from({ length: loopsPerTarget }, () => loop(target)));
  return {
    received,
    failures,
    async answered(times) {
      const before = new Map(answers);
      const deadline = performance.now() + REQUEST_TIMEOUT_MS;
      for (const target of targets) {
        while ((answers.get(target) ?? 0) < (before.get(target) ?? 0) + times) {
          if (performance.now() > deadline) throw new Error(`${target.url} was not answered ${times} times more`);
          await delay(5);
        }
      }
    },
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

/** One request. `head` hears of the answer as soon as its head is there; the promise is about the whole of it. */
export function ask(target: Target, agent: Agent | undefined, head: (answer: Received) => void): Promise<Received> {
  return new Promise((resolve, reject) => {
    const options = {
      ...(agent === undefined ? { agent: false } : { agent }),
      headers: { accept: target.accept },
      timeout: REQUEST_TIMEOUT_MS,
    };
    const request = get(target.url, options, (response) => {
      const chunks: Buffer[] = [];
      const answer = { ...answerOf(target, response), body: '' };
      head(answer);
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('aborted', () => reject(new Error('cut off')));
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        const announced = Number(response.headers['content-length'] ?? body.length);
        if (!response.complete || announced !== body.length) reject(new Error('cut short'));
        else resolve({ ...answer, body: body.toString('latin1') });
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
  });
}

function answerOf(target: Target, { statusCode = 0, headers }: IncomingMessage): Omit<Received, 'body'> {
  const text = (name: string): string => headers[name]?.toString() ?? '';
  return {
    target,
    status: statusCode,
    row: text('x-weir-row'),
    code: text('x-weir-code'),
    bundle: text('x-weir-bundle'),
  };
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? ((thrown as NodeJS.ErrnoException).code ?? thrown.message) : String(thrown);
}
