// Rows to an HTTP endpoint: one POST per batch, a line for each row, gzipped, with a bearer token read anew from its file each
// time. Redirects are not followed: a token must not travel to where somebody else points. A 2xx answer, read to its end, is
// the only yes.

import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { PushFormat, PushSink } from '../audit/push-sink.ts';
import { readSmallFile } from './private-file.ts';

export interface WebhookOptions {
  /** http or https, without credentials. */
  readonly url: string;
  readonly format: PushFormat;
  /** File with the bearer token; '' for none. */
  readonly tokenFile: string;
  /** PEM file with the CA of the endpoint; '' for the system's roots. */
  readonly caFile: string;
  readonly gzip: boolean;
  /** For the whole exchange. */
  readonly timeoutMs: number;
}

const ANSWER_BYTES_MAX = 64 << 10;
/** The sink will never take this content; everything else may be different later. */
const REFUSED: Readonly<Record<number, 'invalid_argument' | 'too_large'>> = {
  400: 'invalid_argument',
  413: 'too_large',
  415: 'invalid_argument',
  422: 'invalid_argument',
};
const zip = promisify(gzip);

export function createWebhookSink(options: WebhookOptions): PushSink {
  const url = new URL(options.url);
  const secure = url.protocol === 'https:';
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, maxSockets: 1 })
    : new HttpAgent({ keepAlive: true, maxSockets: 1 });

  async function headersOf(length: number): Promise<Record<string, string>> {
    return {
      'content-type': options.format === 'cef' ? 'text/plain; charset=utf-8' : 'application/x-ndjson',
      'content-length': String(length),
      'user-agent': 'weir',
      ...(options.gzip ? { 'content-encoding': 'gzip' } : {}),
      ...(options.tokenFile === '' ? {} : { authorization: `Bearer ${await token(options.tokenFile)}` }),
    };
  }

  return {
    async deliver(messages, signal) {
      const text = Buffer.from(messages.map((message) => `${message.text}\n`).join(''), 'utf8');
      const body = options.gzip ? await zip(text) : text;
      const headers = await headersOf(body.length);
      const ca = secure && options.caFile !== '' ? { ca: await readFile(options.caFile) } : {};
      const limit = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
      let answer: Answer;
      try {
        answer = await new Promise<Answer>((resolve, reject) => {
          const send = secure ? requestHttps : requestHttp;
          const request = send(url, { method: 'POST', headers, agent, signal: limit, ...ca }, (response) => {
            readAnswer(response).then(resolve, reject);
          });
          request.once('error', reject);
          request.end(body);
        });
      } catch (thrown) {
        if (signal.aborted) throw signal.reason;
        throw new WeirError('unavailable', `the sink did not answer: ${describeThrown(thrown)}`, {
          cause: thrown,
          retry: 'later',
        });
      }
      judge(answer);
    },
    close() {
      agent.destroy();
      return Promise.resolve();
    },
  };
}

interface Answer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly text: string;
}

/** The whole answer, of which the beginning is kept: only then has the sink said everything that it wanted to say. */
async function readAnswer(response: IncomingMessage): Promise<Answer> {
  let text = '';
  let bytes = 0;
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    bytes += Buffer.byteLength(chunk);
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    if (text.length < 200) text += chunk;
  }
  const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
  return {
    status: response.statusCode ?? 0,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
    text: text.replaceAll(/\P{ASCII}|\p{Cc}/gu, ' ').slice(0, 200),
  };
}

function judge({ status, retryAfterMs, text }: Answer): void {
  if (status >= 200 && status < 300) return;
  const code = REFUSED[status];
  if (code !== undefined) throw new WeirError(code, `the sink refuses the rows with ${status}: ${text}`);
  if (status >= 300 && status < 400) {
    throw new WeirError('unavailable', `the sink answers ${status}, and redirects are not followed`, {
      retry: 'later',
      next: 'configure the address that it redirects to',
    });
  }
  throw new WeirError('unavailable', `the sink answers ${status}: ${text}`, {
    retry: 'later',
    ...(retryAfterMs === undefined ? {} : { detail: { retry_after_ms: retryAfterMs } }),
  });
}

async function token(file: string): Promise<string> {
  const text = (await readSmallFile(file))?.trim() ?? '';
  if (/^[!-~]+$/.test(text)) return text;
  throw new WeirError('unavailable', 'the file with the token of a sink is missing, empty or holds more than a token', {
    retry: 'later',
    next: 'write the token into it, in one line',
  });
}
