// Heads of logs: read, locked in one order, moved, closed. Whoever moves a head holds its row's lock.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, CloseReason, LogAppend, LogClosing, LogHead, LogState } from '../audit-store.ts';
import { raiseAlarm, keepRefused } from './alarm-store.ts';
import { inTransaction, type Pool, type Queryable } from './pool.ts';

/** Logs of one spoke: an epoch is one log, and a new one begins only when something went wrong. */
const LOGS_PER_SPOKE_MAX = 10_000;
/** Processes of one worker that are remembered. */
const INSTANCES_MAX = 1_000;

interface Row {
  readonly log: string;
  readonly unit: string;
  readonly spoke: string;
  readonly state: LogState;
  readonly reason: CloseReason | '';
  readonly next_index: number;
  readonly edge: Buffer;
  readonly checkpoint: Buffer;
  readonly receipt: Buffer;
  readonly vkey: string;
  readonly binding: Buffer;
  readonly instance: string;
  readonly last_event_time: Date | null;
  readonly kept_from: number;
  readonly tiled: number;
  readonly updated_at: Date;
}

const COLUMNS = `log, unit, spoke, state, reason, next_index, edge, checkpoint, receipt, vkey, binding, instance,
  last_event_time, kept_from, tiled, updated_at`;

type Heads = Pick<AuditStore, 'head' | 'heads' | 'admit' | 'enter' | 'noteInstance' | 'close' | 'positions'>;

export function headsIn(pool: Pool): Heads {
  return {
    head: (log) => headOf(pool, log),

    async heads({ unit = '', spoke = '', after = '', limit }) {
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM audit_logs
         WHERE ($1 = '' OR unit = $1) AND ($2 = '' OR spoke = $2) AND log > $3 ORDER BY log LIMIT $4`,
        [unit, spoke, after, limit],
      );
      return rows.map(headIn);
    },

    async admit({ log, unit, spoke, vkey, binding }) {
      const known = await headOf(pool, log);
      if (known === undefined) {
        await inTransaction(pool, async (client) => {
          const { rows } = await client.query<{ logs: number }>(
            'SELECT count(*) AS logs FROM audit_logs WHERE unit = $1 AND spoke = $2',
            [unit, spoke],
          );
          if ((rows[0]?.logs ?? 0) >= LOGS_PER_SPOKE_MAX) {
            throw new WeirError('resource_exhausted', `the spoke has ${LOGS_PER_SPOKE_MAX} logs already`, {
              next: 'find out why it begins a new log again and again',
            });
          }
          await client.query(
            `INSERT INTO audit_logs (log, unit, spoke, vkey, binding) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (log) DO NOTHING`,
            [log, unit, spoke, vkey, binding],
          );
        });
      }
      const head = known ?? (await headOf(pool, log));
      if (head === undefined) throw new WeirError('internal', 'a log vanished while it was admitted');
      if (head.unit !== unit || head.spoke !== spoke) {
        throw new WeirError('forbidden', 'the log belongs to another spoke');
      }
      return head;
    },

    enter: ({ unit, spoke, worker, instance }) =>
      inTransaction(pool, async (client) => {
        const who = [unit, spoke, worker, instance];
        // One number of 64 bits: locks of two numbers are the leaders', whose space nobody's name may reach.
        await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${unit}/${spoke}/${worker}`]);
        const found = await client.query<{ superseded: boolean }>(
          `SELECT superseded_at IS NOT NULL AS superseded FROM audit_instances
           WHERE unit = $1 AND spoke = $2 AND worker = $3 AND instance = $4`,
          who,
        );
        if (found.rows[0] !== undefined) return found.rows[0].superseded ? 'superseded' : 'present';
        await client.query(
          `UPDATE audit_instances SET superseded_at = now()
           WHERE unit = $1 AND spoke = $2 AND worker = $3 AND superseded_at IS NULL`,
          [unit, spoke, worker],
        );
        await client.query('INSERT INTO audit_instances (unit, spoke, worker, instance) VALUES ($1, $2, $3, $4)', who);
        await client.query(
          `DELETE FROM audit_instances WHERE unit = $1 AND spoke = $2 AND worker = $3 AND instance IN (
             SELECT instance FROM audit_instances WHERE unit = $1 AND spoke = $2 AND worker = $3
             ORDER BY superseded_at DESC NULLS FIRST OFFSET ${INSTANCES_MAX})`,
          [unit, spoke, worker],
        );
        return 'present';
      }),

    async noteInstance(log, instance) {
      await pool.query('UPDATE audit_logs SET instance = $2 WHERE log = $1 AND instance <> $2', [log, instance]);
    },

    close: (closing) => inTransaction(pool, (client) => closeLog(client, closing)),

    async positions(unit) {
      const { rows } = await pool.query<{ log: string; next_index: number }>(
        "SELECT log, next_index FROM audit_logs WHERE $1 = '' OR unit = $1 ORDER BY log",
        [unit],
      );
      return rows.map((row) => ({ log: row.log, nextIndex: row.next_index }));
    },
  };
}

/** The heads of these logs, as far as they exist, locked until the transaction ends; always in the same order. */
export async function lockHeads(client: Queryable, logs: readonly string[]): Promise<ReadonlyMap<string, LogHead>> {
  const { rows } = await client.query<Row>({
    name: 'audit-lock-heads',
    text: `SELECT ${COLUMNS} FROM audit_logs WHERE log = ANY ($1) ORDER BY log FOR UPDATE`,
    values: [logs],
  });
  return new Map(rows.map((row) => [row.log, headIn(row)]));
}

/** Moves locked heads to where these rows end. */
export async function moveHeads(client: Queryable, appends: readonly LogAppend[]): Promise<void> {
  await client.query({
    name: 'audit-move-heads',
    text: `UPDATE audit_logs AS head SET next_index = new.next_index, edge = new.edge, checkpoint = new.checkpoint,
        receipt = new.receipt, last_event_time = to_timestamp(new.last_event_ms / 1000.0), updated_at = now()
      FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[])
        AS new (log, next_index, edge, checkpoint, receipt, last_event_ms)
      WHERE head.log = new.log`,
    values: [
      appends.map(({ log }) => log),
      appends.map(({ nextIndex }) => nextIndex),
      appends.map(({ edge }) => edge),
      appends.map(({ checkpoint }) => checkpoint),
      appends.map(({ receipt }) => receipt),
      appends.map(({ lastEventMs }) => lastEventMs),
    ],
  });
}

/** Closes a log that is open, raises its alarm and keeps the refused batch. */
export async function closeLog(client: Queryable, { log, reason, alarm, quarantine }: LogClosing): Promise<void> {
  const { rowCount } = await client.query(
    "UPDATE audit_logs SET state = 'closed', reason = $2, updated_at = now() WHERE log = $1 AND state = 'open'",
    [log, reason],
  );
  if (rowCount === 0) return;
  await raiseAlarm(client, alarm);
  if (quarantine !== undefined) await keepRefused(client, quarantine);
}

async function headOf(client: Queryable, log: string): Promise<LogHead | undefined> {
  const { rows } = await client.query<Row>(`SELECT ${COLUMNS} FROM audit_logs WHERE log = $1`, [log]);
  return rows[0] === undefined ? undefined : headIn(rows[0]);
}

function headIn(row: Row): LogHead {
  return {
    log: row.log,
    unit: row.unit,
    spoke: row.spoke,
    state: row.state,
    reason: row.reason,
    nextIndex: row.next_index,
    edge: row.edge,
    checkpoint: row.checkpoint,
    receipt: row.receipt,
    vkey: row.vkey,
    binding: row.binding,
    instance: row.instance,
    lastEventMs: row.last_event_time?.getTime() ?? null,
    keptFrom: row.kept_from,
    tiled: row.tiled,
    updatedAtMs: row.updated_at.getTime(),
  };
}
