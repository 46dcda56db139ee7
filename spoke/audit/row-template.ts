// Rows of one cached verdict differ in six members. The rest is validated and serialised once; recording then copies bytes
// around the six (a seventh of the time of building and encoding the text). Byte-equality with the canonical form is a
// property test.

import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { rowPieces } from '@weir/shared/audit/row-codec.ts';
import { rowFaults } from '@weir/shared/audit/row-schema.ts';
import { type AuditRow, ROW_VERSION, type RowDraft } from '@weir/shared/audit/row.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** The members that are particular to one request. */
export type RowValues = Pick<RowDraft, 'id' | 'time' | 'duration_us' | 'trace' | 'code'>;

/** Everything else a draft holds. */
export type RowConstants = Omit<RowDraft, keyof RowValues>;

/** What the log itself adds to a draft. */
export type RowOrigin = Pick<AuditRow, 'log' | 'unit' | 'spoke' | 'site'>;

/** Opaque: made by `AuditLog.template`, good for that log only. */
export interface RowTemplate {
  readonly log: string;
  /** Constant bytes before, between and after the six values, quotation marks included. */
  readonly pieces: readonly Uint8Array[];
  /** The most bytes that a row of it can have. */
  readonly maxBytes: number;
}

/** code, duration_us, id, index, time and trace at their longest. */
const VALUES_BYTES_MAX = 8 + 16 + 36 + 16 + 24 + 32;

const PLACEHOLDERS = {
  id: '00000000-0000-7000-8000-000000000000',
  index: 0,
  time: '1970-01-01T00:00:00.000Z',
  duration_us: 0,
  trace: '',
  code: '',
} as const;

/** The values at their longest, for measuring a row before it has any. */
export const LONGEST_VALUES = {
  id: PLACEHOLDERS.id,
  time: PLACEHOLDERS.time,
  duration_us: Number.MAX_SAFE_INTEGER,
  trace: '0'.repeat(32),
  code: '0'.repeat(8),
} as const satisfies RowValues;

/** One test for all four texts: it is what keeps a spliced value from becoming JSON syntax. */
const VALUES =
  /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12} (?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:|[\da-f]{32}) (?:|[\dA-HJKMNP-TV-Z]{8})$/;

/** Throws `invalid_argument` when rows of this kind would not be rows, or would not explain their level. */
export function rowTemplate(origin: RowOrigin, constants: RowConstants): RowTemplate {
  const row: AuditRow = { ...constants, ...PLACEHOLDERS, ...origin, v: ROW_VERSION };
  const faults = [...rowFaults(row), ...recheckRow(row)];
  if (faults.length > 0) throw new WeirError('invalid_argument', `not a row: ${faults.join('; ')}`);
  const [beforeCode, beforeDuration, beforeId, beforeIndex, beforeTime, beforeTrace, tail] = rowPieces(row);
  const pieces = [
    `${beforeCode}"`,
    `"${beforeDuration}`,
    `${beforeId}"`,
    `"${beforeIndex}`,
    `${beforeTime}"`,
    `"${beforeTrace}"`,
    `"${tail}`,
  ].map((text) => Buffer.from(text, 'utf8'));
  return { log: origin.log, pieces, maxBytes: pieces.reduce((sum, each) => sum + each.length, VALUES_BYTES_MAX) };
}

/** Throws `invalid_argument` when a value does not have its form. */
export function checkValues({ id, time, duration_us, trace, code }: RowValues): void {
  if (!VALUES.test(`${id} ${time} ${trace} ${code}`) || !Number.isSafeInteger(duration_us) || duration_us < 0) {
    throw new WeirError('invalid_argument', 'a value of the row does not have its form');
  }
  if (code !== '' && code !== requestCodeOf(id)) {
    throw new WeirError('invalid_argument', 'the request code does not belong to the row');
  }
}

/** Writes the row's canonical bytes at `at` and returns their number. The values must have been checked. */
export function writeRow(target: Buffer, at: number, template: RowTemplate, values: RowValues, index: number): number {
  const { pieces } = template;
  let end = put(target, at, pieces[0]);
  end = putText(target, end, values.code);
  end = put(target, end, pieces[1]);
  end = putText(target, end, String(values.duration_us));
  end = put(target, end, pieces[2]);
  end = putText(target, end, values.id);
  end = put(target, end, pieces[3]);
  end = putText(target, end, String(index));
  end = put(target, end, pieces[4]);
  end = putText(target, end, values.time);
  end = put(target, end, pieces[5]);
  end = putText(target, end, values.trace);
  return put(target, end, pieces[6]) - at;
}

function put(target: Buffer, at: number, bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return at;
  target.set(bytes, at);
  return at + bytes.length;
}

/** A short text that is known to be ASCII: a loop beats the call into the runtime. */
function putText(target: Buffer, at: number, text: string): number {
  for (let i = 0; i < text.length; i += 1) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}
