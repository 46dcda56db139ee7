// Buffers for streaming files: a fixed number of large ones that are used again and again, and small throw-away ones when
// all of those are out, so that slow readers can neither exhaust memory nor make others wait.

export interface FileBuffers {
  /** @param wanted bytes that are left to send, as far as known; a small rest gets a small buffer */
  take(wanted: number): Buffer;
  /** Takes a buffer back that nobody reads or writes any more. */
  give(buffer: Buffer): void;
  /** Large buffers in existence, in use or not. */
  readonly made: number;
}

export const LARGE_BUFFER_BYTES = 1 << 20;
export const SMALL_BUFFER_BYTES = 64 << 10;

export function createFileBuffers(largeMax: number): FileBuffers {
  const idle: Buffer[] = [];
  let made = 0;
  return {
    take(wanted) {
      if (wanted > SMALL_BUFFER_BYTES) {
        const kept = idle.pop();
        if (kept !== undefined) return kept;
        if (made < largeMax) {
          made += 1;
          return Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
        }
      }
      return Buffer.allocUnsafeSlow(Math.max(1, Math.min(wanted, SMALL_BUFFER_BYTES)));
    },
    give(buffer) {
      if (buffer.length === LARGE_BUFFER_BYTES) idle.push(buffer);
    },
    get made() {
      return made;
    },
  };
}
