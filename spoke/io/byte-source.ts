// What the listener streams from and the artifact cache offers: bytes at positions, some of which may still be on their
// way. The port that keeps the two apart.

export interface ByteSource {
  /** Total bytes; null while nobody knows. */
  readonly size: number | null;
  /**
   * Reads at most `target.length` bytes at `position` and waits for them when they are not there yet. Resolves with their
   * number, 0 at the end.
   * @throws WeirError when the bytes cannot be had or turned out not to be the promised ones
   */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Gives the source back; harmless when repeated. */
  release(): void;
}
