// The trouble of a simulated run: what each kind does to the scene. Things that last are switched on by one turn and off by
// another.

import { formatLogId } from '@weir/shared/audit/log-id.ts';
import type { RowBatch } from '@weir/shared/wire/audit.ts';
import type { Book } from './book.ts';
import type { Fault } from './faults.ts';
import type { SimDatabase } from './sim-database.ts';
import { createSimDisk, type Platters, type SimDisk } from './sim-disk.ts';
import type { SimHubs } from './sim-hub.ts';
import type { LineFaults } from './sim-line.ts';
import { idOf, type RecordAt, recordsOf } from './sim-rows.ts';
import { PEER, type Worker } from './sim-spoke.ts';
import { sizeIn } from './witness.ts';
import type { World } from './world.ts';

const HOUR_MS = 3_600_000;

/** What trouble is made for. */
export interface Scene {
  readonly world: World;
  readonly db: SimDatabase;
  readonly hubs: SimHubs;
  readonly line: LineFaults;
  readonly book: Book;
  readonly workers: readonly Worker[];
  /** Copies of a worker that run somewhere else. */
  readonly clones: Worker[];
  readonly addWorker: (name: string, worker: string, disk: SimDisk) => Worker;
  /** A kind of trouble has come. */
  readonly meet: (fault: Fault) => void;
  readonly reach: (what: string) => void;
}

export interface Trouble {
  make(fault: Fault): void;
  /** No more of it: what lasts ends, copies disappear. */
  end(): void;
}

export function createTrouble(scene: Scene): Trouble {
  const { world, db, hubs, line, book, workers, clones, meet, reach } = scene;
  const { chance } = world;
  const all = (): readonly Worker[] => [...workers, ...clones];
  const disks = (): readonly SimDisk[] => all().map(({ disk }) => disk);
  const savedDisks = new Map<Worker, Platters>();
  let savedDatabase: unknown;
  /** Rows of batches that were changed on their way. */
  const poisoned = new Set<string>();

  const makers: Record<Fault, () => void> = {
    spoke_crash() {
      const worker = chance.pick(all());
      if (worker.process === undefined) return;
      meet('spoke_crash');
      worker.crash();
    },
    spoke_stop() {
      const worker = chance.pick(workers);
      if (worker.ledger === undefined) return;
      meet('spoke_stop');
      worker.stop();
    },
    hub_crash() {
      if (hubs.alive.length === 0) return;
      meet('hub_crash');
      hubs.crash(chance.pick(hubs.alive));
    },
    line_lossy() {
      line.failing = line.failing > 0 ? 0 : 0.2;
      if (line.failing > 0) meet('line_lossy');
    },
    line_down() {
      line.down = !line.down;
      if (line.down) meet('line_down');
    },
    commit_fails() {
      db.failing = db.failing > 0 ? 0 : chance.pick([0.2, 0.7]);
      if (db.failing > 0) meet('commit_fails');
    },
    disk_full() {
      const { disk } = chance.pick(all());
      disk.full = !disk.full;
      if (disk.full) meet('disk_full');
    },
    disk_fails() {
      const { disk } = chance.pick(all());
      disk.failing = disk.failing > 0 ? 0 : chance.pick([0.1, 0.5, 1]);
      if (disk.failing > 0) meet('disk_fails');
    },
    clock_jump() {
      const jump = Math.round((chance.unit() - 0.5) * 2 * chance.pick([60_000, HOUR_MS, 24 * HOUR_MS]));
      meet('clock_jump');
      if (chance.unit() < 0.3) hubs.skewMs = jump;
      else chance.pick(all()).skewMs = jump;
    },
    hub_restored() {
      if (savedDatabase === undefined || chance.unit() < 0.4) {
        savedDatabase = db.snapshot();
        return;
      }
      for (const replica of hubs.alive) hubs.crash(replica);
      meet('hub_restored');
      const before = storedIds();
      book.losing(disks, () => db.restore(savedDatabase));
      book.doubt([...before.difference(storedIds())]);
    },
    spoke_restored() {
      const worker = chance.pick(workers);
      const saved = savedDisks.get(worker);
      if (saved === undefined || chance.unit() < 0.4) {
        savedDisks.set(worker, worker.disk.snapshot());
        return;
      }
      worker.crash();
      meet('spoke_restored');
      book.losing(disks, () => worker.disk.restore(saved));
    },
    clone() {
      const [clone] = clones;
      if (clone !== undefined) {
        drop(clone);
        return;
      }
      const original = chance.pick(workers);
      if (original.disk.platters.size === 0) return;
      meet('clone');
      const disk = createSimDisk(world, original.disk.snapshot());
      const copy = scene.addWorker(`${original.worker}'`, original.worker, disk);
      clones.push(copy);
      copy.start();
    },
    flipped_bit() {
      const worker = chance.pick(workers);
      worker.crash();
      flip(worker);
    },
    poison() {
      line.poison = (batch) => {
        line.poison = undefined;
        meet('poison');
        const ids = batch.rows.map(idOf);
        // A row that the hub refuses twice is left aside.
        book.forgive(ids.filter((id) => poisoned.has(id)));
        for (const id of ids) poisoned.add(id);
        return changed(batch);
      };
    },
  };

  function storedIds(): ReadonlySet<string> {
    return new Set([...db.heads().keys()].flatMap((log) => db.rowsOf(log).map((row) => idOf(row.bytes))));
  }

  function drop(clone: Worker): void {
    clone.crash();
    book.losing(disks, () => clones.splice(clones.indexOf(clone), 1));
  }

  function flip({ disk, worker }: Worker): void {
    // Whose folder it is that says nothing yet but a wrong name, nobody can tell.
    const isTold = (name: string): boolean =>
      !name.endsWith('/log.json') || disk.platters.has(name.replace(/log\.json$/, 'checkpoint'));
    const files = [...disk.platters].filter(([name, bytes]) => bytes.length > 0 && isTold(name));
    if (files.length === 0) return;
    const segments = files.filter(([name, bytes]) => isSegment(name) && recordsOf(bytes).length > 0);
    const [path, content] = chance.pick(segments.length > 0 && chance.unit() < 0.6 ? segments : files);
    const records = isSegment(path) ? recordsOf(content) : [];
    const at = chance.between(0, records.at(-1)?.end ?? content.length);
    meet('flipped_bit');
    const file = (path.split('/').at(-1) ?? '').replace(/^\d+$/, 'receipts');
    reach(`flipped bit in ${isSegment(path) ? 'segment' : file}`);
    world.note(`flips a bit in ${path} at ${at}`);
    const hit = records.filter(({ start, end }) => start <= at && at < end);
    const tail = tailOf(disk, path, records).filter(({ end }) => end > at);
    book.losing(disks, () => {
      content[at] = (content[at] ?? 0) ^ (1 << chance.between(0, 8));
    });
    book.forgive([...hit, ...tail].map(({ id }) => id));
    if (isSegment(path)) book.damage(formatLogId({ ...PEER, worker, epoch: path.split('/')[1] ?? '' }));
  }

  function changed(batch: RowBatch): RowBatch {
    if (chance.unit() < 1 / 3) return { ...batch, checkpoint: changedByte(batch.checkpoint) };
    const at = chance.between(0, batch.rows.length);
    return { ...batch, rows: batch.rows.map((row, place) => (place === at ? changedByte(row) : row)) };
  }

  function changedByte(bytes: Uint8Array): Uint8Array {
    const copy = Buffer.from(bytes);
    const at = chance.between(0, copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << chance.between(0, 7));
    return copy;
  }

  return {
    make: (fault) => makers[fault](),
    end() {
      Object.assign(line, { down: false, failing: 0, poison: undefined });
      db.failing = 0;
      while (clones[0] !== undefined) drop(clones[0]);
      for (const { disk } of workers) Object.assign(disk, { full: false, failing: 0 });
    },
  };
}

const isSegment = (path: string): boolean => path.endsWith('.seg');

/** The records of a log's last batch, as long as nothing that was signed speaks for them: damaged, they look unfinished. */
function tailOf({ platters }: SimDisk, path: string, records: readonly RecordAt[]): readonly RecordAt[] {
  const last = records.at(-1);
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const isYounger = (other: string): boolean => other.startsWith(folder) && isSegment(other) && other > path;
  const isNewest = ![...platters].some(([other, bytes]) => isYounger(other) && recordsOf(bytes).length > 0);
  if (last === undefined || !isNewest) return [];
  const signed = Math.max(
    ...['checkpoint', 'receipt'].map((name) => sizeIn(platters.get(folder + name) ?? Buffer.alloc(0))),
  );
  return records.filter(({ index }) => index >= last.index - last.batchPosition && index >= signed);
}
