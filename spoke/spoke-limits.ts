// What all processes of one spoke must agree on: its version, how long a shutdown may take, how a budget is divided.

export const SPOKE_VERSION = '0.1.0';
/** Requests under way get this long to finish at shutdown. */
export const DRAIN_MS = 4_000;
/** Rows that the hub still lacks get this long to reach it at shutdown; the rest waits on disk. */
export const LAST_ROWS_MS = 1_500;
/** A worker that has not ended this long after it was told to is ended. */
export const WORKER_STOP_MS = DRAIN_MS + LAST_ROWS_MS + 2_000;

const SEGMENT_BYTES_MIN = 1 << 20;
/** Segments that a spool needs at least: one to write, one to be shipped and dropped. */
const SEGMENTS_MIN = 4;

/** The part of the spoke's spool that one of its workers has; segments shrink with it rather than become too few. */
export function spoolShare(
  limits: { readonly spool_bytes: number; readonly spool_segment_bytes: number },
  workers: number,
): { readonly totalBytes: number; readonly segmentBytes: number } {
  const totalBytes = Math.floor(limits.spool_bytes / workers);
  if (workers === 1) return { totalBytes, segmentBytes: limits.spool_segment_bytes };
  const segmentBytes = Math.max(
    SEGMENT_BYTES_MIN,
    Math.min(limits.spool_segment_bytes, Math.floor(totalBytes / SEGMENTS_MIN)),
  );
  return { totalBytes: Math.max(totalBytes, SEGMENTS_MIN * SEGMENT_BYTES_MIN), segmentBytes };
}
