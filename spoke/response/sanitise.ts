// Makes text that came from outside safe to print: no control characters, no terminal escapes, no marks that reorder or
// hide what a reader sees, no line breaks, and never longer than asked.

/** Controls, format characters (bidirectional and zero-width marks among them), surrogates, separators, private and unassigned. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]+/gu;
const SPACES = /\s+/g;
const NOT_ASCII = /[^\x20-\x7e]/gu;

/** One line of printable UTF-8, at most `charsMax` characters, cut with '…'. For bodies. */
export function printableLine(text: string, charsMax: number): string {
  // Whatever is longer by far than what is kept need not be cleaned.
  const line = text
    .slice(0, charsMax * 4)
    .replaceAll(SPACES, ' ')
    .replaceAll(UNPRINTABLE, '?')
    .trim();
  if (line.length <= charsMax) return line;
  return `${line.slice(0, charsMax - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** One line of printable ASCII, at most `charsMax` characters, cut with '...'. For reason phrases and headers. */
export function asciiLine(text: string, charsMax: number): string {
  const line = text
    .slice(0, charsMax * 4)
    .replaceAll(SPACES, ' ')
    .replaceAll(NOT_ASCII, '?')
    .trim();
  return line.length <= charsMax ? line : `${line.slice(0, charsMax - 3)}...`;
}
