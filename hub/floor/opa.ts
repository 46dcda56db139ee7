// The OPA command line as a port: what the gates need of it is a folder of sources and commands over it.

import type { SourceFile } from '../store/policy-store.ts';

/** Bounds of one command. */
export const OPA_LIMITS = { timeoutMs: 60_000, outputBytes: 32 << 20 } as const;

export interface OpaResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A private folder in which commands run; relative paths in arguments and in answers are relative to it. */
export interface OpaFolder extends AsyncDisposable {
  /**
   * Runs `opa` to its end; a non-zero status is an answer, not an error. Throws `timeout` past the deadline, `too_large`
   * past the output bound and `internal` when it could not be run.
   */
  run(args: readonly string[], stdin?: string): Promise<OpaResult>;
  /** Bytes of a file that a command wrote; at most `OPA_LIMITS.outputBytes`. */
  read(path: string): Promise<Uint8Array>;
}

export interface Opa {
  /** A new folder holding these files. Disposing of it removes it. */
  open(files: readonly SourceFile[]): Promise<OpaFolder>;
}
