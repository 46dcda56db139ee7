// Syslog over TCP (RFC 6587 octet counting) or TLS (RFC 5425), messages as RFC 5424 says, with structured data that names the
// row. Syslog has no answers: that a receiver took everything is seen only by its closing the connection after we have ended
// our half, so by default each batch has a connection of its own. Receivers that never close need `confirm: 'written'`; then
// what lies in buffers when a receiver dies is lost to it, and only the ledger still has it.

import { readFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { PushMessage, PushSink } from '../audit/push-sink.ts';
import type { Severity } from '../audit/siem/severity.ts';

export interface SyslogTls {
  /** PEM files; '' for the system's roots and for no client certificate. */
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Name that the receiver's certificate must have; '' for the host. */
  readonly serverName: string;
}

export interface SyslogOptions {
  readonly host: string;
  readonly port: number;
  /** Null for plain TCP. */
  readonly tls: SyslogTls | null;
  /** 0 to 23; 13 is log audit. */
  readonly facility: number;
  /** Private enterprise number in the name of the structured data. */
  readonly enterprise: number;
  readonly confirm: 'closed' | 'written';
  /** For connecting, and again for each batch. */
  readonly timeoutMs: number;
}

const SEVERITY: Readonly<Record<Severity, number>> = { informational: 6, low: 5, medium: 4, high: 3 };

export function createSyslogSink(options: SyslogOptions): PushSink {
  let kept: Socket | undefined;

  async function connection(signal: AbortSignal): Promise<Socket> {
    if (kept !== undefined && !kept.destroyed && kept.writable) return kept;
    kept?.destroy();
    kept = undefined;
    const socket = await dial(options, signal);
    if (options.confirm === 'written') kept = socket.resume();
    return socket;
  }

  return {
    async deliver(messages, signal) {
      const bytes = Buffer.concat(messages.map((message) => frame(message, options)));
      let socket: Socket | undefined;
      try {
        socket = await connection(signal);
        await (options.confirm === 'closed' ? writeAndClose : write)(socket, bytes, options.timeoutMs, signal);
      } catch (thrown) {
        socket?.destroy();
        kept = undefined;
        if (signal.aborted) throw signal.reason;
        throw thrown instanceof WeirError
          ? thrown
          : new WeirError('unavailable', `the syslog receiver failed: ${describeThrown(thrown)}`, {
              cause: thrown,
              retry: 'later',
            });
      }
    },
    close() {
      kept?.destroy();
      kept = undefined;
      return Promise.resolve();
    },
  };
}

async function dial({ host, port, tls, timeoutMs }: SyslogOptions, signal: AbortSignal): Promise<Socket> {
  const files = tls === null ? undefined : await readTls(tls);
  return new Promise((resolve, reject) => {
    const socket =
      tls === null || files === undefined
        ? connectTcp({ host, port })
        : connectTls({
            host,
            port,
            // An address is no name for SNI; the certificate is checked against it all the same.
            ...(tls.serverName === '' ? {} : { servername: tls.serverName }),
            minVersion: 'TLSv1.2',
            ...files,
          });
    // Whoever waits for the socket hears of its errors; one that comes when nobody waits is told by the next use.
    socket.on('error', () => undefined);
    const ready = tls === null ? 'connect' : 'secureConnect';
    const stop = settle(socket, timeoutMs, signal, (thrown) => {
      socket.destroy();
      reject(thrown);
    });
    socket.once(ready, () => {
      stop();
      resolve(socket);
    });
  });
}

async function readTls({ caFile, certificateFile, keyFile }: SyslogTls): Promise<Record<string, Buffer>> {
  const named = Object.entries({ ca: caFile, cert: certificateFile, key: keyFile }).filter(([, path]) => path !== '');
  return Object.fromEntries(
    await Promise.all(named.map(async ([name, path]) => [name, await readFile(path)] as const)),
  );
}

/** Resolves when the receiver has read everything and closed; rejects when it closed before, or only broke off. */
function writeAndClose(socket: Socket, bytes: Buffer, timeoutMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let taken = false;
    const stop = settle(socket, timeoutMs, signal, reject);
    // A receiver that closes before we have ended has not read our end, and perhaps not much else.
    socket.once('end', () => {
      taken = socket.writableFinished;
    });
    socket.once('close', (broken) => {
      stop();
      if (taken && !broken) resolve();
      else reject(new WeirError('unavailable', 'the syslog receiver broke the connection off', { retry: 'later' }));
    });
    socket.resume();
    socket.end(bytes);
  });
}

/** Resolves when the kernel has everything. */
function write(socket: Socket, bytes: Buffer, timeoutMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = settle(socket, timeoutMs, signal, reject);
    socket.write(bytes, (error) => {
      stop();
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

/** Tells of an error, an end of patience or an abort, once; the answer ends the watch. */
function settle(
  socket: Socket,
  timeoutMs: number,
  signal: AbortSignal,
  trouble: (thrown: unknown) => void,
): () => void {
  const onAbort = (): void => end(signal.reason);
  const timer = setTimeout(
    () => end(new WeirError('timeout', 'the syslog receiver did not answer in time', { retry: 'later' })),
    timeoutMs,
  );
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('error', end);
    signal.removeEventListener('abort', onAbort);
  };
  function end(thrown: unknown): void {
    stop();
    trouble(thrown);
  }
  socket.once('error', end);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return stop;
}

/** One message with its length in front. */
export function frame(message: PushMessage, options: Pick<SyslogOptions, 'facility' | 'enterprise'>): Buffer {
  const text = Buffer.from(syslogText(message, options), 'utf8');
  return Buffer.concat([Buffer.from(`${text.length} `, 'ascii'), text]);
}

function syslogText(
  message: PushMessage,
  { facility, enterprise }: Pick<SyslogOptions, 'facility' | 'enterprise'>,
): string {
  const { id, log, index, leaf, unit, spoke, severity } = message;
  const priority = facility * 8 + SEVERITY[severity];
  const data = { id, log, index: String(index), leaf: leaf.toString('hex'), unit };
  const parameters = Object.entries(data).map(([name, value]) => ` ${name}="${escaped(value)}"`);
  const header = [message.time, word(spoke, 255), 'weir', '-', word(message.outcome, 32)].join(' ');
  return `<${priority}>1 ${header} [weir@${enterprise}${parameters.join('')}] ${message.text}`;
}

/** Printable ASCII without spaces, as header fields are; '-' for nothing. */
function word(text: string, max: number): string {
  const printable = text.replaceAll(/[^!-~]/g, '').slice(0, max);
  return printable === '' ? '-' : printable;
}

function escaped(value: string): string {
  return value.replaceAll(/["\\\]]/g, String.raw`\$&`);
}
