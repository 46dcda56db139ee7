// The options that choose audit rows, for query, tail and export.

import { type Command, InvalidArgumentError } from 'commander';
import { Level } from '@weir/proto/weir/type/v1/type_pb.ts';
import { isLevel } from '@weir/shared/domain/level.ts';
import type { ConnectionOptions } from './connection.ts';

export interface RowFilterOptions extends ConnectionOptions {
  readonly unit?: string;
  readonly spoke?: string;
  readonly actor?: string;
  readonly purl?: string;
  readonly level?: Level;
  readonly rule?: string;
  readonly code?: string;
  readonly log?: string;
  readonly action?: string;
  readonly outcome?: string;
  readonly from?: bigint;
  readonly until?: bigint;
}

const LEVELS = { allow: Level.ALLOW, warn: Level.WARN, pending: Level.PENDING, deny: Level.DENY } as const;
const AGE_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const RFC3339 = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d{2}:\d{2}))?$/;

export function withRowFilter(command: Command): Command {
  return command
    .option('--unit <unit>', 'only of this unit')
    .option('--spoke <spoke>', 'only of this spoke')
    .option('--actor <actor>', 'only of this actor: pseudonym (h:…) as in rows, or name together with --unit')
    .option('--purl <purl>', "exact purl, or a prefix ending in '*'")
    .option('--level <level>', 'allow, warn, pending or deny', readLevel)
    .option('--rule <id>', 'only rows in which this rule spoke')
    .option('--code <code>', 'only this request code')
    .option('--log <log>', 'only of this log, in its own order')
    .option('--action <action>', 'only this action: install, metadata, publish, check, event …')
    .option('--outcome <outcome>', 'only this outcome: served, filtered, refused, counters …')
    .option('--from <time>', 'RFC 3339 time, or an age such as 15m, 2h, 7d', readInstant)
    .option('--until <time>', 'RFC 3339 time, or an age; rows before it', readInstant);
}

export function filterOf(options: RowFilterOptions) {
  return {
    unit: options.unit ?? '',
    spoke: options.spoke ?? '',
    actor: options.actor ?? '',
    purl: options.purl ?? '',
    level: options.level ?? Level.UNSPECIFIED,
    rule: options.rule ?? '',
    code: options.code ?? '',
    log: options.log ?? '',
    action: options.action ?? '',
    outcome: options.outcome ?? '',
    fromMs: options.from ?? 0n,
    untilMs: options.until ?? 0n,
  };
}

/** Unix milliseconds from an RFC 3339 time (a date alone is its UTC midnight), or from an age counted back from now. */
export function readInstant(text: string): bigint {
  const [, number, unit = 's'] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  const ms =
    number === undefined
      ? Date.parse(RFC3339.test(text) ? text.replace(' ', 'T') : '')
      : Date.now() - Number(number) * (AGE_SECONDS[unit] ?? 1) * 1000;
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('use an RFC 3339 time such as 2026-05-01T08:00:00Z, or an age: 15m, 2h, 7d, 4w');
  }
  if (ms <= 0) throw new InvalidArgumentError('that is before 1970');
  return BigInt(ms);
}

function readLevel(text: string): Level {
  if (!isLevel(text)) throw new InvalidArgumentError('use allow, warn, pending or deny');
  return LEVELS[text];
}
