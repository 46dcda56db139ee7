// Named limits of the request path's input and output, with their defaults. Each caller may set its own values; a limit
// that is hit has an answer (an error code or a refusal) named beside it.

const KIB = 1 << 10;
const MIB = 1 << 20;
const GIB = 1 << 30;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

export const UPSTREAM_LIMITS = {
  /** Index document as sent; over it: `too_large`. */
  metadataEncodedBytes: 32 * MIB,
  /** Index document decompressed; over it: `too_large`. */
  metadataDecodedBytes: 64 * MIB,
  /** Decompressed bytes of all index documents being read at once; over it: `resource_exhausted`. */
  metadataBytesInFlight: 256 * MIB,
  /** Requests to upstreams under way at once; over it: `resource_exhausted`. */
  requestsInFlight: 512,
  /** Connections per upstream origin; further requests wait for one. */
  connectionsPerOrigin: 64,
  redirects: 5,
  responseHeaderBytes: 32 * KIB,
  connectMs: 10 * SECOND,
  /** Until the response header is there; over it: `timeout`. */
  headersMs: 30 * SECOND,
  /** Between two pieces of a body; over it: `timeout`. */
  bodyIdleMs: 30 * SECOND,
  /** A whole index document, redirects included; over it: `timeout`. */
  metadataMs: 60 * SECOND,
  /** A whole artifact, redirects included; over it: `timeout`. */
  artifactMs: 30 * MINUTE,
} as const;
export type UpstreamLimits = { readonly [name in keyof typeof UPSTREAM_LIMITS]: number };

export const LISTENER_LIMITS = {
  /** Open connections; further ones are closed at once. */
  connections: 4096,
  /**
   * Request line and headers together; over it: 431 and the malformed hook. Kept above the request stage's own limits,
   * so that what only breaks those is refused there, with a row.
   */
  headerBytes: 48 * KIB,
  /** From the first byte of a request to the end of its headers; over it: 408. */
  headersMs: 20 * SECOND,
  /** From the first byte of a request to the end of its body; over it: 408. */
  requestMs: 5 * MINUTE,
  /** A connection without any progress in either direction while a request is open. */
  idleMs: 2 * MINUTE,
  keepAliveMs: 65 * SECOND,
  requestsPerConnection: 10_000,
  tlsHandshakeMs: 10 * SECOND,
  /** Body bytes of a refused upload that are read and thrown away, so that the client gets to see the refusal. */
  unreadBodyBytes: 64 * MIB,
  /** File buffers of 1 MiB kept for streaming; when all are out, small ones serve. */
  largeBuffers: 64,
} as const;
export type ListenerLimits = { readonly [name in keyof typeof LISTENER_LIMITS]: number };

export const ARTIFACT_CACHE_LIMITS = {
  /** Bytes of stored artifacts; the least recently used go first. */
  totalBytes: 10 * GIB,
  /** Number of stored artifacts. */
  entries: 500_000,
  /** One artifact; over it: `too_large`. */
  artifactBytes: 4 * GIB,
  /** Downloads under way at once; over it: `resource_exhausted`. */
  fills: 256,
  /** Trailing bytes of a download that no reader gets before size and digests are verified. */
  withheldBytes: 64 * KIB,
  /** Downloads announced to be no larger are held in memory until they are stored: at most `fills` times this. */
  memoryFillBytes: MIB,
  /** Open files kept for reading. */
  openFiles: 256,
} as const;
export type ArtifactCacheLimits = { readonly [name in keyof typeof ARTIFACT_CACHE_LIMITS]: number };

export const METADATA_CACHE_LIMITS = {
  /** Bytes of documents in memory. */
  memoryBytes: 256 * MIB,
  /** Bytes of documents on disk; the least recently used go first. */
  diskBytes: 2 * GIB,
  /** Number of documents on disk. */
  entries: 200_000,
  /** Within this age a document is used without asking upstream. */
  freshMs: 5 * MINUTE,
  /** Up to this age a document is used, marked stale, when upstream fails. */
  staleMs: 24 * 60 * MINUTE,
  /** How long "no such package" is remembered. */
  absentMs: 30 * SECOND,
  /** Remembered absences. */
  absentEntries: 10_000,
  /** After a failed refresh a stale document is used this long before upstream is asked again. */
  retryMs: 5 * SECOND,
} as const;
export type MetadataCacheLimits = { readonly [name in keyof typeof METADATA_CACHE_LIMITS]: number };

export const HOT_CACHE_LIMITS = {
  totalBytes: 256 * MIB,
  /** Larger objects are served from disk. */
  objectBytes: MIB,
} as const;
export type HotCacheLimits = { readonly [name in keyof typeof HOT_CACHE_LIMITS]: number };
