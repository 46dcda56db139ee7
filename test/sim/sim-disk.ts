// A spoke's disk in the simulated world: every operation takes its time, a crash leaves any part of what was under way, and
// it can be full, fail, lose bits, be copied as a snapshot and put back.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LedgerDisk } from '@weir/spoke/audit/ledger-disk.ts';
import type { SpoolDisk, SpoolFile } from '@weir/spoke/audit/spool-disk.ts';
import type { Process, World } from './world.ts';

/** Files by path. */
export type Platters = Map<string, Buffer>;

export interface SimDisk {
  /** The disk as a process sees it. */
  mount(owner: Process): LedgerDisk;
  /** What was under way is done, not done or done in part, as chance has it. Call when the process has died. */
  crash(): void;
  snapshot(): Platters;
  restore(platters: Platters): void;
  readonly platters: Platters;
  /** No room: whatever needs some fails. */
  full: boolean;
  /** Chance that a change fails: not made, made in part, or made and reported as failed. */
  failing: number;
  /** Called for each change that failed. */
  onFailure: (what: string) => void;
}

interface UnderWay {
  /** Takes effect; `part` of 1 is all of it. */
  readonly apply: (part: number) => void;
  readonly divisible: boolean;
}

const SECTOR = 512;

export function createSimDisk(world: World, start: Platters = new Map()): SimDisk {
  let platters = start;
  /** Files that a crash may lose or leave with any bytes, with what stood there before. */
  const unflushed = new Map<string, Buffer | undefined>();
  const underWay = new Set<UnderWay>();
  const { chance } = world;

  const contentOf = (path: string): Buffer => {
    const content = platters.get(path);
    if (content === undefined) throw new WeirError('not_found', `there is no ${path}`);
    return content;
  };

  async function change(owner: Process, what: string, apply: (part: number) => void, divisible = false): Promise<void> {
    const operation: UnderWay = { apply, divisible };
    underWay.add(operation);
    await world.io(owner, what);
    underWay.delete(operation);
    if (sim.failing > 0 && chance.unit() < sim.failing) {
      sim.onFailure(what);
      world.note(`EIO ${what}`);
      applyByChance(operation);
      throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    }
    apply(1);
  }

  function applyByChance({ apply, divisible }: UnderWay): void {
    const luck = chance.unit();
    if (luck < 1 / 3) apply(1);
    else if (luck < 2 / 3 && divisible) apply(chance.unit());
  }

  function needRoom(): void {
    if (!sim.full) return;
    sim.onFailure('full');
    throw new WeirError('resource_exhausted', 'the disk is full', { retry: 'later' });
  }

  function put(path: string, content: Buffer): void {
    platters.set(path, content);
    unflushed.delete(path);
  }

  function folder(owner: Process, prefix: string): SpoolDisk {
    const path = (name: string): string => `${prefix}${name}`;
    return {
      async list(below) {
        await world.look(owner, 'list');
        const inside = below === undefined ? prefix : `${prefix}${below}/`;
        const names = new Set<string>();
        for (const key of platters.keys()) {
          if (key.startsWith(inside)) names.add(key.slice(inside.length).split('/', 1)[0] ?? '');
        }
        return [...names];
      },
      async allocate(name, size) {
        needRoom();
        await change(owner, `allocate ${name}`, () => put(path(name), Buffer.alloc(size)));
      },
      async recycle(from, name, size) {
        contentOf(path(from));
        // Two steps: gone is the one before there is the other.
        await change(owner, `recycle from ${from}`, () => void platters.delete(path(from)));
        await change(owner, `recycle to ${name}`, () => put(path(name), Buffer.alloc(size)));
      },
      async open(name): Promise<SpoolFile> {
        await world.look(owner, 'open');
        contentOf(path(name));
        return {
          async write(bytes, offset) {
            const content = contentOf(path(name));
            const kept = Buffer.from(bytes);
            await change(owner, `write ${name}`, (part) => writePart(content, kept, offset, part), true);
            return kept.length;
          },
          close: () => Promise.resolve(),
        };
      },
      async read(name, offset, length) {
        await world.look(owner, 'read');
        return Buffer.from(contentOf(path(name)).subarray(offset, offset + length));
      },
      async size(name) {
        await world.look(owner, 'size');
        return contentOf(path(name)).length;
      },
      zero: (name, from, until) => change(owner, `zero ${name}`, () => void contentOf(path(name)).fill(0, from, until)),
      remove: (name) => change(owner, `remove ${name}`, () => void platters.delete(path(name))),
      async load(name) {
        await world.look(owner, 'load');
        const content = platters.get(path(name));
        return content === undefined ? undefined : Buffer.from(content);
      },
      async replace(name, bytes) {
        needRoom();
        const kept = Buffer.from(bytes);
        await change(owner, `replace ${name}`, () => put(path(name), kept));
      },
      async store(name, bytes) {
        needRoom();
        const kept = Buffer.from(bytes);
        await world.look(owner, 'store');
        if (!unflushed.has(path(name))) unflushed.set(path(name), platters.get(path(name)));
        platters.set(path(name), kept);
      },
      async flush(names) {
        for (const name of names) contentOf(path(name));
        await change(owner, `flush ${names.length}`, () => {
          for (const name of names) unflushed.delete(path(name));
        });
      },
      turn: () => world.look(owner, 'turn'),
      close: () => Promise.resolve(),
    };
  }

  /** Part of a write: sectors in any order reach the platters, as a drive without power may leave them. */
  function writePart(content: Buffer, bytes: Buffer, offset: number, part: number): void {
    if (part >= 1) {
      bytes.copy(content, offset);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + SECTOR - ((offset + at) % SECTOR));
      if (chance.unit() < part) bytes.copy(content, offset + at, at, end);
      at = end;
    }
  }

  const sim: SimDisk = {
    full: false,
    failing: 0,
    onFailure: () => undefined,
    get platters() {
      return platters;
    },
    mount(owner) {
      const top = folder(owner, 'top/');
      return {
        async epochs() {
          await world.look(owner, 'epochs');
          const names = new Set<string>();
          for (const key of platters.keys()) if (key.startsWith('epoch/')) names.add(key.split('/', 2)[1] ?? '');
          return [...names];
        },
        files: () => top.list(),
        load: (name) => top.load(name),
        replace: (name, bytes) => top.replace(name, bytes),
        remove: (name) => top.remove(name),
        async epoch(name) {
          const inside = `epoch/${name}/`;
          if (![...platters.keys()].some((key) => key.startsWith(inside))) {
            needRoom();
            // A folder is there once it is made, with nothing in it.
            await change(owner, 'mkdir', () => put(`${inside}.made`, Buffer.alloc(0)));
          }
          return folder(owner, inside);
        },
        discard: (name) =>
          change(owner, 'discard', () => {
            for (const key of platters.keys()) if (key.startsWith(`epoch/${name}/`)) platters.delete(key);
          }),
        close: () => Promise.resolve(),
      };
    },
    crash() {
      for (const operation of underWay) applyByChance(operation);
      underWay.clear();
      for (const [path, before] of unflushed) {
        const luck = chance.unit();
        const content = platters.get(path);
        if (luck < 1 / 2 || content === undefined) continue;
        if (luck < 3 / 4) {
          if (before === undefined) platters.delete(path);
          else platters.set(path, before);
        } else {
          platters.set(path, Buffer.from(content).fill(0, Math.floor(chance.unit() * content.length)));
        }
      }
      unflushed.clear();
    },
    snapshot: () => copy(platters),
    restore(saved) {
      underWay.clear();
      unflushed.clear();
      platters = copy(saved);
    },
  };
  return sim;
}

function copy(platters: Platters): Platters {
  return new Map([...platters].map(([path, content]) => [path, Buffer.from(content)]));
}
