// The quick way to read a row: most rows give no reasons, so the canonical spelling leaves one fixed pattern in which only
// values differ, and a compiled pattern reads them in about the time of a hash. It accepts nothing that the careful way
// (`readRow`, `recheckRow`) refuses; what it does not know it leaves to that.

import type { Level } from '../domain/level.ts';
import { LEVELS } from '../domain/level.ts';
import { MODES } from '../domain/unit.ts';
import { requestCodeOf } from '../domain/request-code.ts';
import { LOG_ID_MAX, parseLogId } from './log-id.ts';
import { ROW_BYTES_MAX, ROW_VERSION } from './row.ts';

/** What ingest needs of a row: who, where, and the members that queries look at. */
export interface ScannedRow {
  readonly log: string;
  readonly index: number;
  readonly unit: string;
  readonly spoke: string;
  /** Unix milliseconds. */
  readonly eventTimeMs: number;
  readonly actor: string;
  readonly purl: string;
  readonly level: Level;
  readonly rules: readonly string[];
  readonly code: string;
  readonly action: string;
  readonly outcome: string;
}

/** Printable ASCII that JSON writes as it is. Texts with quotes or backslashes go the careful way. */
const PLAIN = '([ !#-\\[\\]-~]*)';
const COUNT = '(0|[1-9][0-9]{0,15})';
const LEVEL = `(${LEVELS.join('|')})`;
const DIGEST = '(?:sha256:[0-9a-f]{64})?';

const ROW = new RegExp(
  `^\\{"action":"([a-z_]{1,40})","actor":\\{"id":"((?:h:[0-9a-f]{32})?)","kind":"[a-z_]{0,40}"\\},"bundle":"${DIGEST}"` +
    `,"code":"((?:[0-9A-HJKMNP-TV-Z]{8})?)","duration_us":${COUNT},"enforced":(?:true|false),"engine":"${PLAIN}"` +
    `,"exceptions":\\[\\],"floor_level":"${LEVEL}","hidden":\\[\\],"hidden_count":${COUNT}` +
    `,"id":"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})","index":${COUNT}` +
    `,"input":"(${DIGEST})","level":"${LEVEL}","log":"([a-z0-9.-]*)","mode":"(?:${MODES.join('|')})"` +
    `,"outcome":"([a-z][a-z0-9_]{0,79})","overlay_level":"${LEVEL}","request":\\{"client":"${PLAIN}","ecosystem":"${PLAIN}"` +
    `,"method":"[A-Z]{0,16}","registry":"${PLAIN}","route":"[a-z_]{1,40}","target":"${PLAIN}"\\},"rules":\\[\\]` +
    `,"site":"${PLAIN}","spoke":"([a-z][a-z0-9-]{0,39})","status":(0|[1-9][0-9]{0,2}),"subject":\\{"digest":"${PLAIN}"` +
    `,"purl":"${PLAIN}"\\},"time":"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\\.([0-9]{3})Z"` +
    `,"trace":"(?:[0-9a-f]{32})?","unit":"([a-z][a-z0-9-]{0,39})","v":${ROW_VERSION}\\}$`,
);

/** Reads a row that gives no reasons; undefined for any other bytes, sound or not. */
export function scanRow(bytes: Uint8Array): ScannedRow | undefined {
  if (bytes.length > ROW_BYTES_MAX) return undefined;
  // Every class above ends at '~': bytes beyond ASCII match nowhere, whatever they would mean in UTF-8.
  const found = ROW.exec(latin1(bytes));
  if (found === null) return undefined;
  const [
    ,
    action = '',
    actor = '',
    code = '',
    duration = '',
    engine = '',
    floorLevel = '',
    hidden = '',
    id = '',
    index = '',
    input = '',
    level = '',
    log = '',
    outcome = '',
    overlayLevel = '',
    client = '',
    ecosystem = '',
    registry = '',
    target = '',
    site = '',
    spoke = '',
    status = '',
    digest = '',
    purl = '',
    date = '',
    hour = '',
    minute = '',
    second = '',
    millisecond = '',
    unit = '',
  ] = found;
  const lengthsHold =
    engine.length <= 80 &&
    client.length <= 80 &&
    ecosystem.length <= 40 &&
    registry.length <= 80 &&
    target.length <= 200 &&
    site.length <= 80 &&
    digest.length <= 200 &&
    purl.length <= 1024 &&
    log.length <= LOG_ID_MAX;
  if (!lengthsHold || !isCount(duration) || !isCount(hidden) || !isCount(index) || Number(status) > 599)
    return undefined;
  // Without reasons a policy's verdict can only be allow; without a policy the level stands on its own.
  const highest = rankOf(level);
  if (rankOf(floorLevel) > highest || rankOf(overlayLevel) > highest) return undefined;
  if (input !== '' && highest > 0) return undefined;
  if (code !== '' && code !== requestCodeOf(id)) return undefined;
  if (!isLogId(log)) return undefined;
  const day = startOfDay(date);
  if (day === undefined || hour > '23' || minute > '59' || second > '59') return undefined;
  return {
    log,
    index: Number(index),
    unit,
    spoke,
    eventTimeMs: day + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000 + Number(millisecond),
    actor,
    purl,
    level: LEVELS[highest] ?? 'deny',
    rules: [],
    code,
    action,
    outcome,
  };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function isCount(digits: string): boolean {
  return digits.length < 16 || Number(digits) <= Number.MAX_SAFE_INTEGER;
}

function rankOf(level: string): number {
  return (LEVELS as readonly string[]).indexOf(level);
}

// Rows come in runs of one log and one day: the last answer is almost always the next one.
let lastLog = '';
let lastDate = '';
let lastDay = 0;

function isLogId(log: string): boolean {
  if (log === lastLog) return true;
  if (parseLogId(log) === undefined) return false;
  lastLog = log;
  return true;
}

/** Unix milliseconds of a date's first moment, undefined for a day that no calendar has or that stores cannot hold. */
function startOfDay(date: string): number | undefined {
  if (date === lastDate) return lastDay;
  const day = Date.parse(`${date}T00:00:00.000Z`);
  if (Number.isNaN(day) || day < 0 || new Date(day).toISOString().slice(0, 10) !== date) return undefined;
  lastDate = date;
  lastDay = day;
  return day;
}
