// The name of one audit log, `<unit>.<spoke>.<worker>.<epoch>`: who writes it and which of that writer's histories it is.
// A writer that lost or distrusts its files begins a new epoch, so that no index of a log is ever used twice.

import { UNIT_NAME } from '../domain/unit.ts';

export interface LogId {
  readonly unit: string;
  readonly spoke: string;
  /** Writer within the spoke, e.g. `w0`. */
  readonly worker: string;
  readonly epoch: string;
}

/** Longest log id in characters. */
export const LOG_ID_MAX = 180;

/** A spoke's name has the form of a unit's. */
const SPOKE = UNIT_NAME;
const WORKER = /^[a-z0-9-]{1,24}$/;
const EPOCH = /^[a-z0-9]{1,32}$/;

export function formatLogId(id: LogId): string {
  return `${id.unit}.${id.spoke}.${id.worker}.${id.epoch}`;
}

/** The parts of a log id, undefined when the text is none. */
export function parseLogId(text: string): LogId | undefined {
  if (text.length > LOG_ID_MAX) return undefined;
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const [unit = '', spoke = '', worker = '', epoch = ''] = parts;
  const proper = UNIT_NAME.test(unit) && SPOKE.test(spoke) && WORKER.test(worker) && EPOCH.test(epoch);
  return proper ? { unit, spoke, worker, epoch } : undefined;
}
