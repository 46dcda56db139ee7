// How many fields does a message have? A field takes two bytes on the wire and a hundred in memory, so a message within the
// limit on bytes can still hold a hub up for seconds. Counted before anything is decoded; whoever sends more is cut off.

import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** Fields and list entries of one message, those of messages in it included: many times what an honest spoke sends. */
export const MESSAGE_FIELDS_MAX = 20_000;

/** Throws `too_large` as soon as there is one field too many, and what the reader throws for bytes that are no message. */
export function checkFieldCount(schema: DescMessage, bytes: Uint8Array, max = MESSAGE_FIELDS_MAX): void {
  const reader = new BinaryReader(bytes);
  let count = 0;

  function add(entries: number): void {
    count += entries;
    if (count > max) throw new WeirError('too_large', `a message has at most ${max} fields`);
  }

  function walk(message: DescMessage, end: number): void {
    const fields = new Map(message.fields.map((field) => [field.number, field]));
    while (reader.pos < end) {
      const [number, type] = reader.tag();
      add(1);
      const field = fields.get(number);
      // An entry of a map is a message that the descriptor does not name; it counts as one field.
      const nested = type === WireType.LengthDelimited ? field?.message : undefined;
      if (nested !== undefined && field?.fieldKind !== 'map') {
        const length = reader.uint32();
        walk(nested, reader.pos + length);
      } else if (type === WireType.LengthDelimited && isPacked(field)) {
        const length = reader.uint32();
        add(length);
        reader.pos += length;
      } else reader.skip(type, number);
    }
  }

  walk(schema, bytes.length);
}

/** Whether a length-delimited field may be many numbers, of one byte each at least. */
function isPacked(field: DescField | undefined): boolean {
  if (field?.fieldKind !== 'list' || field.listKind === 'message') return false;
  return field.listKind === 'enum' || (field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES);
}
