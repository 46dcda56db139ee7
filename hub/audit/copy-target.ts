// Where a write-once copy is kept, as far as the hub's jobs know: objects by path, of which most never change once they are
// there. Every write is read back before it counts, so that a target which lies about writing is found out at once.

export interface CopyTarget {
  /** Kind and place; what is known about the copy is remembered under this name. */
  readonly name: string;
  readonly kind: CopyKind;

  /**
   * Stores an object for good: locked, read back and compared when this resolves. One that is there already with these bytes
   * is success. Throws `integrity` (`detail.object`) when it is there with others or does not read back, `unsupported` when
   * the target cannot lock it, `unavailable` when a later attempt may succeed.
   */
  keep(path: string, bytes: Uint8Array): Promise<void>;

  /** Stores or replaces an object that changes, unlocked; read back and compared. Throws as `keep` does. */
  replace(path: string, bytes: Uint8Array): Promise<void>;

  /** Removes an object that `replace` made; nothing when there is none. */
  remove(path: string): Promise<void>;

  /** Undefined when there is no such object. Throws `too_large` beyond `OBJECT_BYTES_MAX`. */
  read(path: string): Promise<Buffer | undefined>;

  /** Names directly below a folder (`logs`), sorted. */
  list(folder: string): Promise<readonly string[]>;

  /**
   * The same copy with every object that is there for good as it was written first, whatever was put over it since; undefined
   * where the target has only one version of each object.
   */
  asFirstWritten(): Pick<CopyTarget, 'name' | 'read' | 'list'> | undefined;
}

export const COPY_KINDS = ['folder', 's3'] as const;
export type CopyKind = (typeof COPY_KINDS)[number];

/** More than a bundle of 256 rows of 16 KiB. */
export const OBJECT_BYTES_MAX = 8 << 20;

const LOGS = 'logs';

/** Path of a log's object: `logs/<log id>/<path>`, and below it the layout of tlog-tiles. */
export function copyPath(log: string, path: string): string {
  return `${LOGS}/${log}/${path}`;
}

/** Ids of all logs in a copy. */
export function logsIn(target: Pick<CopyTarget, 'list'>): Promise<readonly string[]> {
  return target.list(LOGS);
}

/** Whether `replace` writes an object of this path: what grows, and what may be told anew. */
export function isReplaced(path: string): boolean {
  return (
    path.includes('.p/') || path.endsWith(`/${COPY_OBJECTS.checkpoint}`) || path.endsWith(`/${COPY_OBJECTS.closed}`)
  );
}

/** Objects of a log beside its tiles and bundles. */
export const COPY_OBJECTS = {
  /** The newest receipt; its size is that of the copy. */
  checkpoint: 'checkpoint',
  /** The log's verifier line, and the word of its spoke for it. */
  vkey: 'vkey',
  binding: 'binding',
  /** `{"v":1,"reason":…}` once nobody extends the log. */
  closed: 'closed.json',
  /** Folder of the receipts that are kept for good, by size. */
  receipts: 'receipts',
} as const;
