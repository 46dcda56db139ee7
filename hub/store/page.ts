// Keyset cursors: the sort key of the last item, opaque to the caller.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface PageRequest {
  /** 1 to 1000. */
  readonly size: number;
  /** '' for the first page. */
  readonly cursor: string;
}

export const PAGE_SIZE_DEFAULT = 100;
export const PAGE_SIZE_MAX = 1000;
const CURSOR_CHARACTERS_MAX = 1024;

export type CursorPart = string | number;

export function encodeCursor(parts: readonly CursorPart[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** The parts of a cursor that `encodeCursor` made, undefined for the first page. @throws WeirError `invalid_argument` */
export function decodeCursor(
  cursor: string,
  kinds: readonly ('string' | 'number')[],
): readonly CursorPart[] | undefined {
  if (cursor === '') return undefined;
  if (cursor.length <= CURSOR_CHARACTERS_MAX) {
    try {
      const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
      if (Array.isArray(parts) && parts.length === kinds.length && parts.every((part, i) => typeof part === kinds[i])) {
        return parts as CursorPart[];
      }
    } catch {
      // Falls through to the one refusal below.
    }
  }
  throw new WeirError('invalid_argument', 'the page cursor is not one of ours', {
    next: 'begin again without a cursor',
  });
}

/** One item more than the page was asked for; whether it came tells whether there is a next page. */
export function cutPage<Item>(
  items: readonly Item[],
  size: number,
  cursorOf: (last: Item) => readonly CursorPart[],
): { readonly items: readonly Item[]; readonly nextCursor: string } {
  const kept = items.slice(0, size);
  const last = kept.at(-1);
  return { items: kept, nextCursor: items.length > size && last !== undefined ? encodeCursor(cursorOf(last)) : '' };
}
