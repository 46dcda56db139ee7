// The logger port over pino. The stream is handed in; every field passes the redaction.

import { type Logger as PinoLogger, pino } from 'pino';
import type { Logger, LogFields } from '../ports/logger.ts';
import { redact, redactText } from './redact.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogStream {
  write(line: string): unknown;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly stream: LogStream;
  /** Fields of every line, e.g. `{ part: 'hub' }`. */
  readonly base: LogFields;
}

/** One JSON line per entry: `level` in words, `time` RFC 3339, `message`, then the fields. */
export function createLogger({ level, stream, base }: LoggerOptions): Logger {
  const root = pino(
    {
      level,
      base: redact(base) as Record<string, unknown>,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => redact(fields) as Record<string, unknown> },
    },
    { write: (line: string) => void stream.write(line) },
  );
  return wrap(root);
}

function wrap(inner: Pick<PinoLogger<string>, (typeof LOG_LEVELS)[number] | 'child'>): Logger {
  return {
    debug: (fields, message) => inner.debug(fields, redactText(message)),
    info: (fields, message) => inner.info(fields, redactText(message)),
    warn: (fields, message) => inner.warn(fields, redactText(message)),
    error: (fields, message) => inner.error(fields, redactText(message)),
    child: (fields) => wrap(inner.child(redact(fields) as Record<string, unknown>)),
  };
}
