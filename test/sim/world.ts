// One thread of time for everything that a simulated run does. Whatever would take time in reality (a disk, a line, a
// database, a timer) asks the world, and a seed decides what ends next: every interleaving that reality could produce can
// come up, and any run can be had again from its seed.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { Chance } from '../kill/chance.ts';

/** A process that can die; what it waits for then never happens. */
export interface Process {
  readonly name: string;
  alive: boolean;
  /** Wall clock against the world's, milliseconds. */
  skewMs: number;
}

interface Pending {
  readonly owner: Process;
  /** Pendings of one lane end in the order in which they began. */
  readonly lane: object | undefined;
  readonly what: string;
  readonly end: () => void;
}

interface Timer {
  readonly owner: Process;
  readonly dueMs: number;
  readonly ring: () => void;
}

/** Time passes although something could end: slow disks and lines are part of every run. */
const CHANCE_OF_WAITING = 0.06;
/** A look at what is at hand (a page in the cache) that takes no turn of its own. */
const CHANCE_OF_INSTANT = 0.7;

export class World {
  readonly chance: Chance;
  nowMs = 1_700_000_000_000;
  steps = 0;
  /** Timers ring up to so many milliseconds late. */
  latenessMs = 50;
  readonly #pending: Pending[] = [];
  readonly #timers: Timer[] = [];
  #digest = 0x811c9dc5;
  #count = 0;
  /** Called with each line of the trace. */
  readonly #listen: ((line: string) => void) | undefined;

  constructor(chance: Chance, listen?: (line: string) => void) {
    this.chance = chance;
    this.#listen = listen;
  }

  process(name: string): Process {
    return { name, alive: true, skewMs: 0 };
  }

  /** Ends a process: nothing that it waits for comes. */
  kill(process: Process): void {
    process.alive = false;
    bury(this.#pending);
    bury(this.#timers);
  }

  /** Writes a line of the trace. Two runs of one seed have the same. */
  note(line: string): void {
    let digest = this.#digest;
    for (let i = 0; i < line.length; i += 1) digest = Math.imul(digest ^ line.charCodeAt(i), 0x01000193);
    this.#digest = digest >>> 0;
    this.#count += 1;
    this.#listen?.(`${this.steps} ${line}`);
  }

  /** Of the trace so far. */
  get digest(): string {
    return `${this.#digest.toString(16).padStart(8, '0')}-${this.#count}-${this.steps}`;
  }

  /** Resolves when the world lets it: never, if the process dies first. */
  io(owner: Process, what: string, lane?: object): Promise<void> {
    return new Promise((resolve) => {
      if (owner.alive) this.#pending.push({ owner, lane, what, end: resolve });
    });
  }

  /** As `io`, for what mostly takes no time. */
  look(owner: Process, what: string): Promise<void> {
    return owner.alive && this.chance.unit() < CHANCE_OF_INSTANT ? Promise.resolve() : this.io(owner, what);
  }

  clock(owner: Process): Clock {
    return {
      nowMs: () => Math.floor(this.nowMs + owner.skewMs),
      monotonicMs: () => this.nowMs,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted === true) {
            reject(signal.reason as Error);
            return;
          }
          if (!owner.alive) return;
          const timer: Timer = {
            owner,
            dueMs: this.nowMs + Math.max(0, ms),
            ring: () => {
              signal?.removeEventListener('abort', abort);
              resolve();
            },
          };
          const abort = (): void => {
            const at = this.#timers.indexOf(timer);
            if (at >= 0) this.#timers.splice(at, 1);
            reject(signal?.reason as Error);
          };
          signal?.addEventListener('abort', abort, { once: true });
          this.#timers.push(timer);
        }),
    };
  }

  /** Ids, keys and jitter of one process. */
  random(owner: Process): Random {
    const { chance } = this;
    const hex = (digits: number): string =>
      Math.floor(chance.unit() * 16 ** digits)
        .toString(16)
        .padStart(digits, '0');
    return {
      uuid: () => {
        const time = Math.max(0, Math.floor(this.nowMs + owner.skewMs))
          .toString(16)
          .padStart(12, '0');
        return `${time.slice(0, 8)}-${time.slice(8, 12)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`;
      },
      bytes: (length) => Uint8Array.from({ length }, () => chance.between(0, 256)),
      unit: () => chance.unit(),
    };
  }

  /** Ends one thing that is under way, or lets time pass to the next timer; false when nothing will ever happen again. */
  step(): boolean {
    this.steps += 1;
    const next = this.#nextTimer();
    const ready = this.#pending.length;
    if (ready > 0 && (next === undefined || next.dueMs > this.nowMs || this.chance.unit() < 0.5)) {
      if (next === undefined || this.chance.unit() >= CHANCE_OF_WAITING) {
        this.#endOne();
        return true;
      }
    }
    if (next === undefined) return false;
    if (next.dueMs > this.nowMs) {
      const late = this.chance.unit() < 0.5 ? 0 : Math.floor(this.chance.unit() * this.latenessMs);
      this.nowMs = next.dueMs + late;
    }
    this.#timers.splice(this.#timers.indexOf(next), 1);
    next.ring();
    return true;
  }

  #endOne(): void {
    const pending = this.#pending;
    let at = Math.floor(this.chance.unit() * pending.length);
    const lane = pending[at]?.lane;
    if (lane !== undefined) at = pending.findIndex((each) => each.lane === lane);
    const [picked] = pending.splice(at, 1);
    if (picked === undefined) return;
    this.note(`${picked.owner.name} ${picked.what}`);
    picked.end();
  }

  #nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.dueMs < next.dueMs) next = timer;
    return next;
  }

  /** Calls `turn` until it returns false; between two calls every promise that can go on goes on. Rejects with what it throws. */
  run(turn: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const again = (): void => {
        try {
          if (turn()) setImmediate(again);
          else resolve();
        } catch (thrown) {
          reject(thrown);
        }
      };
      setImmediate(again);
    });
  }
}

function bury(list: { readonly owner: Process }[]): void {
  for (let at = list.length - 1; at >= 0; at -= 1) if (list[at]?.owner.alive === false) list.splice(at, 1);
}
