// What was promised in a simulated run, and what must still be there: every row that was answered, whose only copies may
// have been on a disk that was put back, damaged or thrown away, or in a database that was restored.

import { isDeepStrictEqual } from 'node:util';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { openCheckpoint, openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import type { NewRow } from '@weir/hub/store/audit-store.ts';
import type { SimDatabase } from './sim-database.ts';
import type { SimDisk } from './sim-disk.ts';
import { hubVerifier } from './sim-keys.ts';
import { idOf, recordsOf } from './sim-rows.ts';
import type { Request } from './sim-spoke.ts';

export interface Book {
  /** A row is asked for: it may be durable from now on. */
  asked(request: Request): void;
  /** An event of a ledger. */
  told(draft: RowDraft): void;
  /** Rows that were answered and have to be at the hub in the end. */
  owed(): readonly Request[];
  /** Rows that nobody can tell from those of a write that was never finished: forgiven unless the hub has them. */
  forgive(ids: readonly string[]): void;
  /** Rows that a restored database has lost: forgiven where the log that has them takes no more rows, and so is not sent again. */
  doubt(ids: readonly string[]): void;
  /** A log's rows were damaged: once it has forked too, nobody can tell which of those behind the damage the hub has. */
  damage(log: string): void;
  /** Does what may take the last copy of a row away, and forgives exactly those rows. */
  losing(disks: () => readonly SimDisk[], work: () => void): void;
  /** Compares the hub's rows with what was answered. Throws what is wrong. */
  settle(allowed: { readonly doubles: boolean; readonly disks: readonly SimDisk[] }): {
    readonly rows: number;
    readonly doubled: number;
  };
}

export function createBook(db: SimDatabase): Book {
  const requests = new Map<string, Request>();
  const events = new Map<string, RowDraft>();
  const forgiven = new Set<string>();
  const doubtful = new Set<string>();
  const damaged = new Set<string>();
  const ids = new WeakMap<NewRow, string>();

  function idIn(row: NewRow): string {
    const known = ids.get(row);
    if (known !== undefined) return known;
    const id = idOf(row.bytes);
    ids.set(row, id);
    return id;
  }

  function* storedRows(): Generator<readonly [log: string, row: NewRow]> {
    for (const log of db.heads().keys()) for (const row of db.rowsOf(log)) yield [log, row];
  }

  /** Ids of all rows that are anywhere. */
  function present(disks: readonly SimDisk[]): ReadonlySet<string> {
    const found = new Set<string>();
    for (const [, row] of storedRows()) found.add(idIn(row));
    for (const { platters } of disks) {
      for (const [path, content] of platters) {
        if (path.endsWith('.seg')) for (const { id } of recordsOf(content)) found.add(id);
      }
    }
    return found;
  }

  function owed(): readonly Request[] {
    return [...requests.values()].filter(
      ({ draft, recorded, worker }) =>
        recorded !== undefined &&
        !forgiven.has(draft.id) &&
        !(doubtful.has(draft.id) && recorded.log !== worker.lastLog) &&
        !(damaged.has(recorded.log) && hasForked(recorded.log)),
    );
  }

  function hasForked(log: string): boolean {
    return db.alarms.some((alarm) => alarm.log === log && (alarm.kind === 'fork' || alarm.kind === 'rollback'));
  }

  function checkLog(log: string): void {
    const head = db.heads().get(log);
    if (head === undefined || head.nextIndex === 0) return;
    const edge = new TreeEdge();
    for (const [index, row] of db.rowsOf(log).entries()) {
      if (row.index !== index) throw new Error(`${log} has row ${row.index} where ${index} belongs`);
      const leaf = leafHash(row.bytes);
      if (!leaf.equals(row.leaf)) throw new Error(`row ${index} of ${log} is not what its leaf says`);
      edge.append(leaf);
    }
    const root = edge.root();
    if (edge.size !== head.nextIndex) throw new Error(`${log} has ${edge.size} rows, its head says ${head.nextIndex}`);
    if (!TreeEdge.decode(head.nextIndex, head.edge).root().equals(root))
      throw new Error(`the edge of ${log} is another tree's`);
    const key = parseVkey(head.vkey);
    const signed = openCheckpoint(head.checkpoint, key);
    if (signed.size !== edge.size || !signed.root.equals(root))
      throw new Error(`the checkpoint of ${log} is another tree's`);
    const receipted = openReceipt(head.receipt, { log: key, hub: hubVerifier }).checkpoint;
    if (receipted.size !== edge.size || !receipted.root.equals(root))
      throw new Error(`the receipt of ${log} is another tree's`);
  }

  return {
    asked: (request) => void requests.set(request.draft.id, request),
    told: (draft) => void events.set(draft.id, draft),
    owed,
    losing(disks, work) {
      const before = present(disks());
      for (const { draft, recorded } of owed()) {
        // Gone under a receipt that the database had given before it was put back.
        if (doubtful.has(draft.id)) continue;
        if (!before.has(draft.id))
          throw new Error(`row ${draft.id} of ${recorded?.log} is nowhere, and nothing explains it`);
      }
      work();
      const after = present(disks());
      for (const { draft } of owed()) if (!after.has(draft.id)) forgiven.add(draft.id);
    },
    damage: (log) => void damaged.add(log),
    doubt: (lost) => lost.forEach((id) => doubtful.add(id)),
    forgive(lost) {
      const stored = new Set([...storedRows()].map(([, row]) => idIn(row)));
      for (const id of lost) if (!stored.has(id)) forgiven.add(id);
    },
    settle({ doubles, disks }) {
      /** Where each id was first seen. */
      const seen = new Map<string, string>();
      let rows = 0;
      let doubled = 0;
      for (const log of db.heads().keys()) checkLog(log);
      for (const [log, row] of storedRows()) {
        const id = idIn(row);
        const request = requests.get(id);
        if (request === undefined) {
          if (!events.has(id)) throw new Error(`the hub has row ${id} in ${log}, which nobody wrote`);
          continue;
        }
        rows += 1;
        const { recorded } = request;
        const isOriginal = recorded !== undefined && recorded.log === log && recorded.index === row.index;
        if (isOriginal && !recorded.leaf.equals(row.leaf))
          throw new Error(`row ${row.index} of ${log} is not what was answered`);
        if (seen.has(id)) {
          doubled += 1;
          if (!doubles) throw new Error(`the hub has row ${id} twice: in ${seen.get(id)} and in ${log}`);
        }
        seen.set(id, log);
        checkContent(row, request.draft);
      }
      const left = owed().filter(({ draft }) => !seen.has(draft.id));
      const kept = left.some(({ draft }) => doubtful.has(draft.id)) ? present(disks) : new Set<string>();
      for (const { draft, recorded } of left)
        if (!doubtful.has(draft.id) || kept.has(draft.id))
          throw new Error(
            `row ${recorded?.index} of ${recorded?.log} was answered and is not at the hub (${draft.id})`,
          );
      return { rows, doubled };
    },
  };
}

/** Whatever log it stands in, a row says what was asked. */
function checkContent({ bytes }: NewRow, { ...asked }: RowDraft & { log?: string; index?: number }): void {
  const row = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
  delete asked.log;
  delete asked.index;
  for (const [name, value] of Object.entries(asked))
    if (row[name] !== value && !isDeepStrictEqual(row[name], value))
      throw new Error(`row ${asked.id} has another ${name} than was asked`);
}
