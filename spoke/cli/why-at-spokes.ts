// `weir why` with the hub away: asks the spokes of this machine, and reads their logs when they do not run either.

import { type Rules, rulesSchema } from '@weir/shared/bundle/layers.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { asWeirError } from '@weir/shared/errors/weir-error.ts';
import { findCode } from '../audit/find-code.ts';
import { viewSpoolDisk } from '../io/spool-disk.ts';
import { askSpoke, knownSpokeHomes } from './spoke-home.ts';
import { fileOf, logFoldersIn } from './spoke-logs.ts';

export interface RowAtSpoke {
  readonly row: AuditRow;
  /** Undefined when the spoke does not run: its texts are in its bundle. */
  readonly rules: Rules | undefined;
  /** Home of the spoke that has the row. */
  readonly from: string;
  /** Whether the row is under the newest receipt that the spoke has for its log; undefined when that cannot be read. */
  readonly receipted: boolean | undefined;
}

export async function whyAtSpokes(text: string): Promise<RowAtSpoke | undefined> {
  const code = readRequestCode(text);
  if (code === undefined) return undefined;
  for (const home of knownSpokeHomes(undefined)) {
    const found = (await fromRunning(home, code)) ?? (await fromDisk(home, code));
    if (found !== undefined) return { ...found, from: home, receipted: isReceipted(home, found.row) };
  }
  return undefined;
}

type Found = Pick<RowAtSpoke, 'row' | 'rules'>;

async function fromRunning(home: string, code: string): Promise<Found | undefined> {
  try {
    const answer = (await askSpoke(home, `/why?code=${code}`)) as { row: AuditRow; rules: unknown };
    const rules = rulesSchema.safeParse(answer.rules);
    return { row: answer.row, rules: rules.success ? rules.data : undefined };
  } catch (thrown) {
    const error = asWeirError(thrown, 'unavailable', 'the spoke could not be asked');
    if (error.code === 'not_found' || error.code === 'unavailable') return undefined;
    throw error;
  }
}

async function fromDisk(home: string, code: string): Promise<Found | undefined> {
  for (const { path, log, closure } of logFoldersIn(home)) {
    const row = await findCode(viewSpoolDisk(path), log, closure?.size ?? Number.MAX_SAFE_INTEGER, code);
    if (row !== undefined) return { row, rules: undefined };
  }
  return undefined;
}

function isReceipted(home: string, row: AuditRow): boolean | undefined {
  const folder = logFoldersIn(home).find(({ log }) => log === row.log);
  if (folder === undefined) return undefined;
  const receipt = fileOf(folder.path, 'receipt');
  if (receipt === undefined) return false;
  try {
    return row.index < readCheckpoint(receipt).size;
  } catch {
    return undefined;
  }
}
