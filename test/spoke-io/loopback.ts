// What the tests of this folder share: loopback servers that misbehave on demand, and recorders for the ports.

import { createServer, type RequestListener } from 'node:http';
import { createServer as createNetServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Labels, Metrics } from '@weir/shared/ports/metrics.ts';

export interface Loopback {
  /** `http://127.0.0.1:port/` */
  readonly url: string;
  readonly port: number;
  /** Request lines seen so far, `METHOD /path`. */
  readonly seen: readonly string[];
  close(): Promise<void>;
}

/** An HTTP server on an ephemeral port. */
export async function serveHttp(listener: RequestListener): Promise<Loopback> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    listener(request, response);
  });
  return { ...(await start(server)), seen };
}

/** A server that speaks whatever bytes it likes, once a whole request header has arrived. */
export async function serveBytes(answer: (socket: Socket, head: string) => void): Promise<Loopback> {
  const seen: string[] = [];
  const server = createNetServer((socket) => {
    let head = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      seen.push(head.slice(0, head.indexOf(' HTTP/')));
      const whole = head;
      head = '';
      answer(socket, whole);
    });
  });
  return { ...(await start(server)), seen };
}

async function start(server: Server): Promise<Omit<Loopback, 'seen'>> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export interface RecordedMetrics extends Metrics {
  /** Sum of a counter over all its labels. */
  counted(name: string): number;
  gauged(name: string): number;
}

export function recordMetrics(): RecordedMetrics {
  const counters = new Map<string, number>();
  const gauges = new Map<string, number>();
  return {
    count(name: string, _labels?: Labels, by = 1) {
      counters.set(name, (counters.get(name) ?? 0) + by);
    },
    gauge(name, value) {
      gauges.set(name, value);
    },
    observe(name) {
      counters.set(name, (counters.get(name) ?? 0) + 1);
    },
    counted: (name) => counters.get(name) ?? 0,
    gauged: (name) => gauges.get(name) ?? 0,
  };
}

export interface RecordedLogger extends Logger {
  readonly lines: readonly { readonly level: string; readonly message: string; readonly fields: object }[];
}

export function recordLogs(): RecordedLogger {
  const lines: { level: string; message: string; fields: object }[] = [];
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields });
  };
  const logger: RecordedLogger = {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return logger;
}
