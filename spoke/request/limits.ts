// Named limits of a request line and its headers. Whatever passes one of them is refused as unparsable.

export const REQUEST_LIMITS = {
  /** Bytes of the request target, query included. */
  urlBytes: 8 << 10,
  /** Bytes of the query alone. */
  queryBytes: 4 << 10,
  segments: 12,
  /** Characters of one decoded path segment. */
  segmentChars: 512,
  headers: 100,
  /** Bytes of all header names and values together. */
  headerBytes: 32 << 10,
  methodChars: 20,
} as const;
