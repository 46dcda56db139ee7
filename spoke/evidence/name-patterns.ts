// Lists of exact names and of prefixes ending in '*', made ready for many look-ups. Names are compared byte for byte.

export interface NamePatterns {
  /** The pattern that a name falls under, exact names first; undefined when none. */
  match(name: string): string | undefined;
}

/** A lone '*' covers every name. A '*' anywhere but at the end is an ordinary character. */
export function namePatterns(patterns: readonly string[]): NamePatterns {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*'));
  return {
    match: (name) => (exact.has(name) ? name : prefixes.find((pattern) => name.startsWith(pattern.slice(0, -1)))),
  };
}
