// One download under way: bytes go from upstream into a temporary file, hashed as they pass, and from that file to any
// number of readers. The last bytes are withheld until size and digests are those that were promised, so that nobody ever
// holds a complete artifact that is not the promised one. Readers cannot slow the download, nor it them: memory holds
// one chunk, whatever the sizes and numbers. A small artifact of known size skips the file on its way to its readers: it
// is held in one buffer of that size and written once it has been verified, so that no client waits for a disk.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { ByteSource } from './byte-source.ts';
import { type Disk, diskFault } from './disk.ts';
import { PromiseCheck, type PromisedDigests } from './promise-check.ts';
import type { ArtifactResponse } from './upstream.ts';

export interface Verified {
  readonly digest: Digest;
  readonly size: number;
}

export interface FillOptions {
  readonly disk: Disk;
  readonly temporaryPath: string;
  readonly promised: PromisedDigests;
  /** Bytes as the index promises them, null when it does not. */
  readonly size: number | null;
  readonly artifactBytesMax: number;
  readonly withheldBytes: number;
  /** Artifacts known to be no larger are held in memory until they are stored. */
  readonly memoryBytesMax: number;
  /** Sets room for so many more bytes aside. @throws WeirError */
  readonly reserve: (bytes: number) => void | Promise<void>;
  /**
   * Takes the verified bytes over, as the temporary file or, when given, as a buffer; must not throw. Readers have been
   * served by then.
   */
  readonly publish: (verified: Verified, bytes: Buffer | undefined) => Promise<void>;
  /** Called when no more readers may be taken. */
  readonly onEnded: () => void;
}

export class ArtifactFill {
  /** Settles with the response header; false when upstream has no such artifact. */
  readonly opened: Promise<boolean>;
  /** Settles when the last byte was compared; rejects with the failure that readers get too. */
  readonly verified: Promise<Verified>;
  /** Settles, never rejects, when the download is over and its file is left to its readers. */
  readonly ended: Promise<void>;
  readonly #options: FillOptions;
  readonly #abort = new AbortController();
  #size: number | null;
  #file: number | undefined;
  #memory: Buffer | undefined;
  #written = 0;
  /** Bytes that readers may have. */
  #released = 0;
  #state: 'running' | 'done' | 'failed' = 'running';
  #failure: WeirError | undefined;
  #ended = false;
  #readers = 0;
  #waiting: (() => void)[] = [];
  #reserved = 0;

  constructor(options: FillOptions, open: (signal: AbortSignal) => Promise<ArtifactResponse>) {
    this.#options = options;
    this.#size = options.size;
    const opened = Promise.withResolvers<boolean>();
    const verified = Promise.withResolvers<Verified>();
    this.opened = opened.promise;
    this.verified = verified.promise;
    // Both are offered to whoever wants to know; that nobody asked is no fault.
    this.opened.catch(() => undefined);
    this.verified.catch(() => undefined);
    this.ended = this.#run(open, opened, verified);
  }

  get size(): number | null {
    return this.#size;
  }

  /** Gives the download up; readers fail with `cancelled`. */
  abort(): void {
    this.#abort.abort(new WeirError('cancelled', 'the spoke is closing', { retry: 'later' }));
  }

  /** A reader of its own, from the first byte on. Must be taken before `onEnded` has been called. */
  reader(): ByteSource {
    this.#readers += 1;
    const sizeOf = (): number | null => this.#size;
    let released = false;
    return {
      get size() {
        return sizeOf();
      },
      read: (target, position) => this.#read(target, position),
      release: () => {
        if (released) return;
        released = true;
        this.#readers -= 1;
        this.#closeIfUnused();
      },
    };
  }

  /** The room that was set aside for this download; from now on its taker answers for it. */
  takeReservation(): number {
    const reserved = this.#reserved;
    this.#reserved = 0;
    return reserved;
  }

  async #read(target: Uint8Array, position: number): Promise<number> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const available = this.#released - position;
      if (available > 0) {
        if (this.#memory !== undefined) return this.#memory.copy(target, 0, position, this.#released);
        if (this.#file === undefined) throw new WeirError('internal', 'the artifact was read after its release');
        const room = available < target.length ? target.subarray(0, available) : target;
        try {
          return await this.#options.disk.read(this.#file, room, position);
        } catch (error) {
          throw diskFault(error);
        }
      }
      if (this.#state === 'done') return 0;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #run(
    open: (signal: AbortSignal) => Promise<ArtifactResponse>,
    opened: PromiseWithResolvers<boolean>,
    verified: PromiseWithResolvers<Verified>,
  ): Promise<void> {
    const { disk, temporaryPath } = this.#options;
    try {
      // Not before whoever made this fill has it in hand.
      await Promise.resolve();
      const check = new PromiseCheck(this.#options.promised);
      const response = await open(this.#abort.signal);
      if (response.kind === 'not_found') {
        this.#state = 'done';
        opened.resolve(false);
        verified.reject(new WeirError('not_found', 'the upstream registry has no such artifact'));
        return;
      }
      try {
        await this.#agreeOnSize(response.size);
        if (this.#size !== null && this.#size <= this.#options.memoryBytesMax) {
          this.#memory = Buffer.allocUnsafeSlow(this.#size);
        } else {
          this.#file = await disk.open(temporaryPath, 'new').catch(rethrowDiskFault);
        }
        opened.resolve(true);
        await this.#copy(response.body, check);
      } finally {
        response.cancel();
      }
      const { sha256, mismatch } = check.finish();
      if (this.#size !== null && this.#written !== this.#size) throw lengthFault(this.#size, this.#written);
      if (mismatch !== undefined) {
        throw new WeirError(
          'integrity',
          `the artifact does not have the ${mismatch.algorithm} that its index promises`,
          {
            detail: { fault: 'digest_mismatch', ...mismatch },
          },
        );
      }
      const result: Verified = { digest: `sha256:${sha256}` as Digest, size: this.#written };
      this.#size = this.#written;
      this.#released = this.#written;
      this.#state = 'done';
      verified.resolve(result);
      this.#wake();
      await this.#options.publish(result, this.#memory);
    } catch (thrown) {
      const failure = this.#failureOf(thrown);
      this.#failure = failure;
      this.#state = 'failed';
      // Its readers, if any, hold the descriptor; the name goes now.
      await disk.remove(temporaryPath).catch(() => undefined);
      opened.reject(failure);
      verified.reject(failure);
    } finally {
      this.#ended = true;
      this.#options.onEnded();
      this.#wake();
      this.#closeIfUnused();
    }
  }

  async #copy(body: AsyncIterable<Buffer>, check: PromiseCheck): Promise<void> {
    const { disk, artifactBytesMax } = this.#options;
    for await (const chunk of body) {
      if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
      const end = this.#written + chunk.length;
      if (this.#size !== null && end > this.#size) throw lengthFault(this.#size, end);
      if (end > artifactBytesMax) throw tooLarge(artifactBytesMax);
      await this.#reserveUpTo(end);
      if (this.#memory !== undefined) {
        chunk.copy(this.#memory, this.#written);
        check.update(chunk);
      } else if (this.#file !== undefined) {
        const write = disk.write(this.#file, chunk, this.#written);
        check.update(chunk);
        await write.catch(rethrowDiskFault);
      }
      this.#written = end;
      this.#release();
    }
  }

  async #agreeOnSize(announced: number | null): Promise<void> {
    if (announced !== null && (!Number.isSafeInteger(announced) || announced < 0)) throw lengthFault(0, 0);
    if (announced !== null && this.#size !== null && announced !== this.#size) throw lengthFault(this.#size, announced);
    this.#size ??= announced;
    if (this.#size === null) return;
    if (this.#size > this.#options.artifactBytesMax) throw tooLarge(this.#options.artifactBytesMax);
    await this.#reserveUpTo(this.#size);
  }

  async #reserveUpTo(bytes: number): Promise<void> {
    if (bytes <= this.#reserved) return;
    await this.#options.reserve(bytes - this.#reserved);
    this.#reserved = bytes;
  }

  #release(): void {
    const { withheldBytes } = this.#options;
    const limit =
      this.#size === null ? this.#written - withheldBytes : Math.min(this.#written, this.#size - withheldBytes);
    if (limit <= this.#released) return;
    this.#released = limit;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #failureOf(thrown: unknown): WeirError {
    if (this.#abort.signal.aborted) return this.#abort.signal.reason as WeirError;
    if (thrown instanceof WeirError) return thrown;
    return new WeirError('internal', 'the artifact could not be fetched', { cause: thrown });
  }

  #closeIfUnused(): void {
    if (!this.#ended || this.#readers > 0 || this.#file === undefined) return;
    const file = this.#file;
    this.#file = undefined;
    // A descriptor that does not close leaves nothing to do.
    this.#options.disk.close(file).catch(() => undefined);
  }
}

function rethrowDiskFault(error: unknown): never {
  throw diskFault(error);
}

function lengthFault(expected: number, got: number): WeirError {
  return new WeirError('upstream_failed', 'the artifact does not have the size that was announced', {
    detail: { fault: 'length', expected_bytes: expected, got_bytes: got },
  });
}

function tooLarge(limitBytes: number): WeirError {
  return new WeirError('too_large', 'the artifact is over the size limit of this spoke', {
    detail: { fault: 'artifact_too_large', limit_bytes: limitBytes },
  });
}
