// Keeps secrets out of log lines: by the name of the field, and by the shape of the value wherever it stands.

const SECRET_FIELD =
  /(?:^|[_-])(?:token|tokens|secret|password|passwd|authorization|cookie|credential|credentials|salt|private_?key)s?$/i;
const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  [/weir(?:join|op)?_(?:[a-z][a-z0-9-]{0,39}_)?[A-Za-z0-9_-]{43}/g, '[token]'],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}/gi, '$1 [redacted]'],
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@:]*:[^\s/@]*@/gi, '$1[redacted]@'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, '[private key]'],
];
const DEPTH_MAX = 6;
const ENTRIES_MAX = 100;
const TEXT_MAX = 4096;

/** A copy that is safe to log: secrets replaced, long texts and deep or wide values cut. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEPTH_MAX) return '[deep]';
  if (value instanceof Error)
    return redact({ name: value.name, message: value.message, stack: value.stack }, depth + 1);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, ENTRIES_MAX).map((item) => redact(item, depth + 1));
  const safe: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value).slice(0, ENTRIES_MAX)) {
    safe[key] = SECRET_FIELD.test(key) ? '[redacted]' : redact(item, depth + 1);
  }
  return safe;
}

export function redactText(text: string): string {
  let safe = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
  for (const [shape, instead] of SECRET_TEXT) safe = safe.replace(shape, instead);
  return safe;
}
