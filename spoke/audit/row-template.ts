// Rows of one cached verdict differ in six members. The rest is validated and serialised once; recording then costs a
// concatenation. Byte-equality with the canonical form is a property test.

import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { type RowPieces, rowPieces } from '@weir/shared/audit/row-codec.ts';
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
  readonly pieces: RowPieces;
}

const PLACEHOLDERS = {
  id: '00000000-0000-7000-8000-000000000000',
  index: 0,
  time: '1970-01-01T00:00:00.000Z',
  duration_us: 0,
  trace: '',
  code: '',
} as const;

/** One test for all four texts: it is what keeps a spliced value from becoming JSON syntax. */
const VALUES =
  /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12} (?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:|[\da-f]{32}) (?:|[\dA-HJKMNP-TV-Z]{8})$/;

/** Throws `invalid_argument` when rows of this kind would not be rows, or would not explain their level. */
export function rowTemplate(origin: RowOrigin, constants: RowConstants): RowTemplate {
  const row: AuditRow = { ...constants, ...PLACEHOLDERS, ...origin, v: ROW_VERSION };
  const faults = [...rowFaults(row), ...recheckRow(row)];
  if (faults.length > 0) throw new WeirError('invalid_argument', `not a row: ${faults.join('; ')}`);
  return { log: origin.log, pieces: rowPieces(row) };
}

/** Canonical text of the row. Throws `invalid_argument` when a value does not have its form. */
export function rowOfTemplate(template: RowTemplate, values: RowValues, index: number): string {
  const { id, time, duration_us, trace, code } = values;
  if (!VALUES.test(`${id} ${time} ${trace} ${code}`) || !Number.isSafeInteger(duration_us) || duration_us < 0) {
    throw new WeirError('invalid_argument', 'a value of the row does not have its form');
  }
  if (code !== '' && code !== requestCodeOf(id)) {
    throw new WeirError('invalid_argument', 'the request code does not belong to the row');
  }
  const [beforeCode, beforeDuration, beforeId, beforeIndex, beforeTime, beforeTrace, tail] = template.pieces;
  return `${beforeCode}"${code}"${beforeDuration}${duration_us}${beforeId}"${id}"${beforeIndex}${index}${beforeTime}"${time}"${beforeTrace}"${trace}"${tail}`;
}
