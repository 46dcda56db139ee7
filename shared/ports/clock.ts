// Time as a port: wall time for records, monotonic time for durations, and waiting that can be cancelled.

export interface Clock {
  /** Wall time, unix milliseconds. */
  nowMs(): number;
  /** Monotonic time in milliseconds with sub-millisecond digits; only differences mean anything. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
