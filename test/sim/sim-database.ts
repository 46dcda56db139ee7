// The hub's database in the simulated world: it outlives its hubs, its transactions take their time, may fail, and may be
// done although the answer never came. It keeps the promises of the store ports with plain maps.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AlarmStore, NewAlarm } from '@weir/hub/store/alarm-store.ts';
import type {
  AuditStore,
  GroupChange,
  LogAppend,
  LogClosing,
  LogHead,
  NewRow,
  PreparedRows,
} from '@weir/hub/store/audit-store.ts';
import type { Process, World } from './world.ts';

export type IngestStore = Pick<
  AuditStore,
  'head' | 'admit' | 'enter' | 'noteInstance' | 'prepare' | 'commitGroup' | 'close' | 'leavesFrom'
>;

interface State {
  readonly heads: Map<string, LogHead>;
  readonly rows: Map<string, NewRow[]>;
  readonly instances: Map<string, readonly string[]>;
}

export interface SimDatabase {
  /** A connection of this process. */
  connect(owner: Process): { readonly store: IngestStore; readonly alarms: Pick<AlarmStore, 'raise'> };
  snapshot(): unknown;
  restore(saved: unknown): void;
  heads(): ReadonlyMap<string, LogHead>;
  rowsOf(log: string): readonly NewRow[];
  /** Every alarm ever raised: what was once told stays told, whatever becomes of the database. */
  readonly alarms: readonly NewAlarm[];
  /** Chance that a transaction fails, half of the time after it was made. */
  failing: number;
  onFailure: (what: 'lost' | 'done_but_reported_lost') => void;
  /** Called when a process speaks that another one had followed. */
  onSuperseded: () => void;
}

export function createSimDatabase(world: World): SimDatabase {
  let state: State = { heads: new Map(), rows: new Map(), instances: new Map() };
  const alarms: NewAlarm[] = [];
  const { chance } = world;

  const known = (log: string): LogHead => {
    const head = state.heads.get(log);
    if (head === undefined) throw new WeirError('not_found', `there is no log ${log}`);
    return head;
  };

  function raise(alarm: NewAlarm): boolean {
    world.note(`alarm ${alarm.kind} ${alarm.log}: ${alarm.detail}`);
    const isNew = !alarms.some(({ kind, log }) => kind === alarm.kind && log === alarm.log);
    if (isNew) alarms.push(alarm);
    return isNew;
  }

  function close({ log, reason, alarm }: LogClosing): void {
    const head = known(log);
    if (head.state === 'closed') return;
    state.heads.set(log, { ...head, state: 'closed', reason });
    raise(alarm);
  }

  function append({ rows, ...end }: LogAppend): void {
    const head = known(end.log);
    const stored = state.rows.get(end.log) ?? [];
    for (const row of rows.flatMap(plainRows)) {
      if (row.index !== stored.length) throw new Error(`row ${row.index} of ${end.log} is added at ${stored.length}`);
      stored.push(row);
    }
    state.rows.set(end.log, stored);
    const { nextIndex, edge, checkpoint, receipt, lastEventMs } = end;
    if (nextIndex !== stored.length)
      throw new Error(`${end.log} has ${stored.length} rows, its head says ${nextIndex}`);
    world.note(`stored ${end.log} ${nextIndex} ${Buffer.from(edge).toString('hex', 0, 8)}`);
    state.heads.set(end.log, {
      ...head,
      nextIndex,
      edge: Buffer.from(edge),
      checkpoint: Buffer.from(checkpoint),
      receipt: Buffer.from(receipt),
      lastEventMs,
      updatedAtMs: world.nowMs,
    });
  }

  /** One transaction: made at one moment, and failed by chance before or after it. */
  async function transaction<Value>(owner: Process, what: string, work: () => Value | Promise<Value>): Promise<Value> {
    await world.io(owner, what);
    const fails = db.failing > 0 && chance.unit() < db.failing;
    if (fails && chance.unit() < 0.5) {
      db.onFailure('lost');
      world.note(`lost ${what}`);
      throw new WeirError('unavailable', 'the transaction was rolled back', { retry: 'later' });
    }
    const value = await work();
    if (!fails && chance.unit() < 0.5) return value;
    await world.io(owner, `${what} done`);
    if (!fails) return value;
    db.onFailure('done_but_reported_lost');
    world.note(`done but lost ${what}`);
    throw new WeirError('unavailable', 'the connection broke during the commit', { retry: 'later' });
  }

  const leavesOf = (log: string, from: number, until: number): ReadonlyMap<number, Buffer> =>
    new Map((state.rows.get(log) ?? []).slice(from, until).map((row) => [row.index, row.leaf]));

  const db: SimDatabase = {
    failing: 0,
    onFailure: () => undefined,
    onSuperseded: () => undefined,
    alarms,
    connect(owner) {
      const store: IngestStore = {
        head: (log) => transaction(owner, 'head', () => state.heads.get(log)),
        admit: ({ log, unit, spoke, vkey, binding }) =>
          transaction(owner, 'admit', () => {
            const found = state.heads.get(log);
            if (found !== undefined) return found;
            const empty = Buffer.alloc(0);
            const head: LogHead = {
              log,
              unit,
              spoke,
              vkey,
              binding,
              state: 'open',
              reason: '',
              nextIndex: 0,
              edge: empty,
              checkpoint: empty,
              receipt: empty,
              instance: '',
              lastEventMs: null,
              keptFrom: 0,
              tiled: 0,
              updatedAtMs: world.nowMs,
            };
            state.heads.set(log, head);
            return head;
          }),
        enter: ({ unit, spoke, worker, instance }) =>
          transaction(owner, 'enter', () => {
            const who = `${unit}/${spoke}/${worker}`;
            const seen = state.instances.get(who) ?? [];
            if (seen.at(-1) === instance) return 'present';
            if (seen.includes(instance)) {
              db.onSuperseded();
              return 'superseded';
            }
            state.instances.set(who, [...seen, instance]);
            return 'present';
          }),
        noteInstance: (log, instance) =>
          transaction(owner, 'instance', () => void state.heads.set(log, { ...known(log), instance })),
        prepare: (_owner, rows) => plainRun(rows),
        commitGroup: (logs, _options, plan) =>
          transaction(owner, 'commit', async () => {
            // Nothing else ends before the change: the world ends one thing at a time, and this waits for none.
            const heads = new Map(logs.flatMap((log) => (state.heads.has(log) ? [[log, known(log)] as const] : [])));
            const change: GroupChange = await plan(heads, (log, from, until) =>
              Promise.resolve(leavesOf(log, from, until)),
            );
            for (const each of change.appends) append(each);
            for (const each of change.closings) close(each);
          }),
        close: (closing) => transaction(owner, 'close', () => close(closing)),
        leavesFrom: (log, index, limit) =>
          transaction(owner, 'leaves', () => [...leavesOf(log, index, index + limit).values()]),
      };
      return { store, alarms: { raise: (alarm) => transaction(owner, 'raise', () => raise(alarm)) } };
    },
    snapshot: (): State => copy(state),
    restore(saved) {
      state = copy(saved as State);
    },
    heads: () => state.heads,
    rowsOf: (log) => state.rows.get(log) ?? [],
  };
  return db;
}

/** Rows as they are: this store writes nothing. */
interface PlainRun extends PreparedRows {
  readonly rows: readonly NewRow[];
}

function plainRun(rows: readonly NewRow[]): PlainRun {
  const held = rows.map((row) => ({ ...row }));
  return {
    rows: held,
    count: held.length,
    row: (place) => Buffer.from(held[place]?.bytes ?? []),
    slice: (from, until) => plainRun(held.slice(from, until)),
    flagFirst(bit) {
      const [first, ...rest] = held;
      if (first !== undefined) held.splice(0, held.length, { ...first, flags: first.flags | bit }, ...rest);
    },
  };
}

function plainRows(run: PreparedRows): readonly NewRow[] {
  return (run as PlainRun).rows;
}

function copy({ heads, rows, instances }: State): State {
  return {
    heads: new Map(heads),
    rows: new Map([...rows].map(([log, list]) => [log, [...list]])),
    instances: new Map(instances),
  };
}
