// The options that choose audit rows, for query and tail.

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
  readonly onlyAction?: string;
  readonly since?: bigint;
  readonly until?: bigint;
}

const LEVELS = { allow: Level.ALLOW, warn: Level.WARN, pending: Level.PENDING, deny: Level.DENY } as const;

export function withRowFilter(command: Command): Command {
  return command
    .option('--unit <unit>', 'only of this unit')
    .option('--spoke <spoke>', 'only of this spoke')
    .option('--actor <id>', 'only of this actor (hashed id)')
    .option('--purl <purl>', "exact purl, or a prefix ending in '*'")
    .option('--level <level>', 'allow, warn, pending or deny', readLevel)
    .option('--rule <id>', 'only rows in which this rule spoke')
    .option('--code <code>', 'only this request code')
    .option('--log <log>', 'only of this log')
    .option('--only-action <action>', 'only this action: install, metadata, publish, event …')
    .option('--since <time>', 'RFC 3339 time, or an age such as 15m, 12h, 7d', readInstant)
    .option('--until <time>', 'RFC 3339 time, or an age', readInstant);
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
    action: options.onlyAction ?? '',
    fromMs: options.since ?? 0n,
    untilMs: options.until ?? 0n,
  };
}

function readLevel(text: string): Level {
  if (!isLevel(text)) throw new InvalidArgumentError('use allow, warn, pending or deny');
  return LEVELS[text];
}

function readInstant(text: string): bigint {
  const [, number, unit = 's'] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (number !== undefined) {
    const seconds = Number(number) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1);
    return BigInt(Date.now() - seconds * 1000);
  }
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('use an RFC 3339 time, or an age such as 15m');
  return BigInt(ms);
}
