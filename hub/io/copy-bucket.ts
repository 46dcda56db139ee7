// A write-once copy in an S3-compatible bucket with object lock: every object that is there for good is locked in compliance
// mode, which not even the bucket's owner can undo before its time, and both bytes and lock are read back before it counts.

import { hash } from 'node:crypto';
import { S3mini, S3NetworkError, S3ServiceError } from 's3mini';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { type CopyTarget, isReplaced, OBJECT_BYTES_MAX } from '../audit/copy-target.ts';

export interface BucketOptions {
  /** URL of the service without the bucket, such as `https://objects.example.org`; addressed path-style. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  /** Before every key, with its slash; '' for none. */
  readonly prefix: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** How long objects are locked, days. */
  readonly lockDays: number;
  /** Whether to go on without a lock where the bucket has none. */
  readonly allowUnlocked: boolean;
  readonly logger: Logger;
  readonly nowMs: () => number;
}

const REQUEST_TIMEOUT_MS = 60_000;
const DAY_MS = 86_400_000;
const NAMES_MAX = 100_000;
/** Answers to a write that must be the first: it is not, somebody writes at the same time, or it was marked as deleted. */
const EXISTS = new Set([412, 409, 405]);
const COMPLIANCE = 'COMPLIANCE';

type Headers = Readonly<Record<string, string>>;

export function createBucketTarget(options: BucketOptions): CopyTarget {
  const { bucket, prefix, lockDays, allowUnlocked, logger, nowMs } = options;
  const base = new URL(options.endpoint);
  base.pathname = `${base.pathname.replace(/\/+$/, '')}/${bucket}`;
  const s3 = new S3mini({
    ...options.credentials,
    endpoint: base.href,
    region: options.region,
    requestAbortTimeout: REQUEST_TIMEOUT_MS,
  });
  let told = false;

  async function get(object: string, version?: string): Promise<Buffer | undefined> {
    const query = version === undefined ? {} : { versionId: version };
    let response: Response;
    try {
      response = await s3.getObjectRaw(`${prefix}${object}`, true, 0, undefined, query);
    } catch (thrown) {
      if (thrown instanceof S3ServiceError && thrown.status === 404 && thrown.serviceCode !== 'NoSuchBucket') {
        return undefined;
      }
      throw troubled(thrown, `${object} cannot be read`);
    }
    if (Number(response.headers.get('content-length') ?? 0) > OBJECT_BYTES_MAX) {
      await response.body?.cancel();
      throw new WeirError('too_large', `${object} is larger than any object of a copy`);
    }
    try {
      return Buffer.from(await response.arrayBuffer());
    } catch (thrown) {
      throw troubled(thrown, `${object} cannot be read`);
    }
  }

  /** A lock holds a version; newer ones, and marks of deletion, can be put over it. */
  async function getFirst(object: string): Promise<Buffer | undefined> {
    let versions: Awaited<ReturnType<S3mini['listObjectVersions']>>;
    try {
      versions = await s3.listObjectVersions(`${prefix}${object}`);
    } catch (thrown) {
      throw troubled(thrown, `the versions of ${object} cannot be listed`);
    }
    // Services list the newest version first.
    const first = versions?.findLast(({ IsDeleteMarker }) => IsDeleteMarker !== true);
    return first?.VersionId === undefined ? undefined : get(object, first.VersionId);
  }

  async function put(object: string, bytes: Uint8Array, headers: Headers): Promise<void> {
    // The signature does not cover the body; this checksum does, and the headers are signed.
    const checksum = { 'x-amz-checksum-sha256': hash('sha256', bytes, 'base64') };
    const type = 'application/octet-stream';
    await s3.putObject(`${prefix}${object}`, bytes, type, undefined, { ...checksum, ...headers });
  }

  /** True when it is stored, false when an object of that name exists. */
  async function putOnce(object: string, bytes: Uint8Array, headers: Headers): Promise<boolean> {
    try {
      await put(object, bytes, { ...headers, 'if-none-match': '*' });
      return true;
    } catch (thrown) {
      if (thrown instanceof S3ServiceError && EXISTS.has(thrown.status)) return false;
      throw thrown;
    }
  }

  function lockHeaders(): Headers {
    const until = new Date(nowMs() + lockDays * DAY_MS).toISOString();
    return { 'x-amz-object-lock-mode': COMPLIANCE, 'x-amz-object-lock-retain-until-date': until };
  }

  /** Mode and end of an object's lock; no mode when it has none. */
  async function lockOf(object: string): Promise<{ readonly mode: string; readonly untilMs: number }> {
    try {
      const response = await s3.getObjectRaw(`${prefix}${object}`, true, 0, undefined, { retention: '' });
      const text = await response.text();
      const mode = /<Mode>([A-Z]+)<\/Mode>/.exec(text)?.[1] ?? '';
      return { mode, untilMs: Date.parse(/<RetainUntilDate>([^<]+)</.exec(text)?.[1] ?? '') || 0 };
    } catch (thrown) {
      // A bucket or an object without a lock has nothing to tell: the services differ in how they say so.
      if (thrown instanceof S3ServiceError && [400, 404, 405, 501].includes(thrown.status))
        return { mode: '', untilMs: 0 };
      throw troubled(thrown, `the lock of ${object} cannot be read`);
    }
  }

  /** False when the bucket has no object lock, which is allowed then. */
  async function lockWhileWriting(object: string, write: (headers: Headers) => Promise<unknown>): Promise<boolean> {
    try {
      await write(lockHeaders());
      return true;
    } catch (thrown) {
      if (!cannotLock(thrown)) throw troubled(thrown, `${object} cannot be written`);
      if (!allowUnlocked) throw unlocked();
      tellUnlocked();
      return false;
    }
  }

  async function keep(object: string, bytes: Uint8Array): Promise<void> {
    if (!(await lockWhileWriting(object, (headers) => putOnce(object, bytes, headers)))) {
      try {
        await putOnce(object, bytes, {});
      } catch (thrown) {
        throw troubled(thrown, `${object} cannot be written`);
      }
    }
    const held = await get(object);
    if (held !== undefined && !held.equals(bytes)) throw wrong(object, 'is in the copy with other bytes');
    if (held !== undefined && (await isLocked(object))) return;
    // Written when the bucket had no lock, by a service that writes first and locks then, or marked as deleted since: a
    // version with a lock goes over it.
    const locks = await lockWhileWriting(object, (headers) => put(object, bytes, headers));
    if (!locks && held !== undefined) return;
    if ((await get(object))?.equals(bytes) !== true) throw wrong(object, 'does not read back as it was written');
    if (await isLocked(object)) return;
    if (!allowUnlocked) throw unlocked();
    tellUnlocked();
  }

  async function isLocked(object: string): Promise<boolean> {
    const { mode, untilMs } = await lockOf(object);
    return mode === COMPLIANCE && untilMs > nowMs();
  }

  function tellUnlocked(): void {
    if (told) return;
    told = true;
    logger.error(
      { bucket },
      'the bucket of the write-once copy has no object lock: whoever can write to it can delete the copy',
    );
  }

  function unlocked(): WeirError {
    return new WeirError('unsupported', `the bucket ${bucket} does not lock objects`, {
      next: 'make a bucket with object lock enabled, or set audit.copy.s3.allow_unlocked',
    });
  }

  const name = `s3:${base.host}/${bucket}/${prefix}`;
  async function list(folder: string): Promise<readonly string[]> {
    const below = `${prefix}${folder}/`;
    try {
      const found = await s3.listObjects('/', below, NAMES_MAX, { delimiter: '/' });
      const names = (found ?? []).map(({ Key }) => Key.slice(below.length).replace(/\/$/, ''));
      return [...new Set(names)].filter((each) => each !== '').toSorted();
    } catch (thrown) {
      throw troubled(thrown, `${folder} cannot be listed`);
    }
  }

  return {
    name,
    kind: 's3',
    keep,
    read: (object) => get(object),
    async replace(object, bytes) {
      try {
        await put(object, bytes, {});
      } catch (thrown) {
        throw troubled(thrown, `${object} cannot be written`);
      }
      if ((await get(object))?.equals(bytes) !== true) throw wrong(object, 'does not read back as it was written');
    },
    async remove(object) {
      try {
        await s3.deleteObject(`${prefix}${object}`);
      } catch (thrown) {
        if (thrown instanceof S3ServiceError && thrown.status === 404) return;
        throw troubled(thrown, `${object} cannot be removed`);
      }
    },
    list,
    asFirstWritten: () => ({
      name: `${name} as first written`,
      list,
      read: (object) => (isReplaced(object) ? get(object) : getFirst(object)),
    }),
  };
}

/** What services answer when a bucket was made without object lock. */
function cannotLock(thrown: unknown): boolean {
  if (!(thrown instanceof S3ServiceError)) return false;
  return (
    thrown.status === 501 ||
    (thrown.status === 400 &&
      /ObjectLock|InvalidRequest|InvalidArgument/i.test(`${thrown.serviceCode ?? ''} ${thrown.body ?? ''}`))
  );
}

function troubled(thrown: unknown, what: string): WeirError {
  if (thrown instanceof WeirError) return thrown;
  const why =
    thrown instanceof S3ServiceError
      ? `the service answered ${thrown.status} ${thrown.serviceCode ?? ''}`.trim()
      : thrown instanceof S3NetworkError
        ? 'the service cannot be reached'
        : 'the connection failed';
  // Denied or malformed stays so until somebody changes it; the next turn tries again all the same.
  const code =
    thrown instanceof S3ServiceError && thrown.status < 500 && thrown.status !== 429
      ? 'upstream_failed'
      : 'unavailable';
  return new WeirError(code, `${what}: ${why}`, {
    cause: thrown,
    retry: 'later',
    internal: { error: describeThrown(thrown) },
  });
}

function wrong(object: string, what: string): WeirError {
  return new WeirError('integrity', `${object} ${what}`, { detail: { object } });
}
