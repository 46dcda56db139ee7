// Chance as a port: ids, tokens and jitter.

export interface Random {
  /** `size` cryptographically random bytes. */
  bytes(size: number): Uint8Array;
  /** Uniform in [0, 1), for jitter only. */
  unit(): number;
  /** A new UUIDv7 (time-ordered, 74 random bits) as lower-case text. */
  uuid(): string;
}
