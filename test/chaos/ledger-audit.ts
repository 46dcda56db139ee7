// The campaign's own auditor. It reads what the hub's database holds and what the spokes keep on disk, computes every leaf
// and every root itself, and compares that with what clients were told. It believes no counter of the product.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import type { Received } from '../kill/load.ts';

const PAGE_ROWS = 5_000;

export interface LedgerFaults {
  /** Answers whose row is not in the ledger. */
  readonly lost: number;
  /** Rows that are in it more than once. */
  readonly doubled: number;
  /** Answers that block mode forbids, or that name no row. */
  readonly silentOpen: number;
  /** Sentences about gaps, wrong leaves and roots. */
  readonly broken: readonly string[];
}

export interface LedgerAuditor {
  /** Takes note of what a client was told. */
  hear(answer: Received): void;
  /** Reads what is new in the database. */
  read(): Promise<void>;
  /** Begins anew: the database is another one than it was. */
  forget(): void;
  /** Answers heard so far that have no row yet. */
  missing(): readonly Received[];
  /** The hub had none of these rows when a fault destroyed the only copy: nobody can have them. Returns how many it had not. */
  destroyed(rows: readonly RowName[]): number;
  /** Everything that is wrong now, over all that was ever read and heard; `missing` are the answers that should have a row. */
  faults(missing: readonly Received[], spokeHomes: readonly string[]): Promise<LedgerFaults>;
  readonly answers: number;
  readonly rows: number;
  readonly logs: number;
}

/** What an answer calls its row by. */
export interface RowName {
  readonly id: string;
  /** '' for a row without a request code. */
  readonly code: string;
}

interface Log {
  readonly edge: TreeEdge;
  /** Root by size, wherever a page ended. */
  readonly roots: Map<number, string>;
}

interface Head {
  readonly log: string;
  readonly next_index: number;
  readonly edge: Buffer;
  readonly receipt: Buffer;
}

export function createLedgerAuditor(pool: () => Pool): LedgerAuditor {
  let logs = new Map<string, Log>();
  let seen = new Map<string, number>();
  let codes = new Set<string>();
  let broken: string[] = [];
  let heads: readonly Head[] = [];
  let rows = 0;
  let doubled = 0;
  let silentOpen = 0;
  const heard: Received[] = [];
  /** Heard, and not seen in the database when it was last looked for. */
  let waiting: readonly Received[] = [];
  let looked = 0;
  const gone = new Set<string>();

  async function readLog(head: Head): Promise<void> {
    const log = logs.get(head.log) ?? { edge: new TreeEdge(), roots: new Map() };
    logs.set(head.log, log);
    while (log.edge.size < head.next_index) {
      const from = log.edge.size;
      const page = await pool().query<{ index: number; row: Buffer; leaf: Buffer }>(
        'SELECT index, row, leaf FROM audit_rows WHERE log = $1 AND index >= $2 ORDER BY index LIMIT $3',
        [head.log, from, Math.min(PAGE_ROWS, head.next_index - from)],
      );
      if (page.rows.length === 0) {
        broken.push(`${head.log}: rows from ${from} are missing below ${head.next_index}`);
        return;
      }
      for (const { index, row, leaf } of page.rows) {
        if (index !== log.edge.size) {
          broken.push(`${head.log}: row ${index} stands where ${log.edge.size} belongs`);
          return;
        }
        const own = leafHash(row);
        if (!own.equals(leaf)) broken.push(`${head.log}: the leaf of row ${index} is not its hash`);
        log.edge.append(own);
        const { id, code } = JSON.parse(row.toString('utf8')) as { id: string; code: string };
        const times = (seen.get(id) ?? 0) + 1;
        seen.set(id, times);
        if (times === 2) doubled += 1;
        if (code !== '') codes.add(code);
        rows += 1;
      }
      log.roots.set(log.edge.size, log.edge.root().toString('base64'));
    }
    if (!log.edge.encode().equals(head.edge)) broken.push(`${head.log}: the hub's edge is not that of its rows`);
    if (head.next_index > 0) compare(head.log, head.receipt, 'the receipt at the hub');
  }

  async function read(): Promise<void> {
    heads = (await pool().query<Head>('SELECT log, next_index, edge, receipt FROM audit_logs ORDER BY log')).rows;
    for (const head of heads) await readLog(head);
  }

  /** A note about a size that was read must name its root. */
  function compare(log: string, note: Uint8Array, what: string): void {
    const { size, root } = readCheckpoint(note);
    const own = logs.get(log)?.roots.get(size);
    if (own !== undefined && own !== root.toString('base64'))
      broken.push(`${log}: ${what} names another root at ${size}`);
  }

  /** A refusal for want of a durable row has none; documents carry no name of theirs. */
  function isMissing({ status, row, code }: Received): boolean {
    if (status === 503 || (row === '' && code === '')) return false;
    const isThere = row === '' ? codes.has(code) : seen.has(row);
    return !isThere && !gone.has(row === '' ? code : row);
  }

  function missing(): readonly Received[] {
    waiting = [...waiting, ...heard.slice(looked)].filter(isMissing);
    looked = heard.length;
    return waiting;
  }

  return {
    get answers() {
      return heard.length;
    },
    get rows() {
      return rows;
    },
    get logs() {
      return logs.size;
    },
    hear(answer) {
      heard.push(answer);
      if (isOpen(answer)) silentOpen += 1;
    },
    read,
    forget() {
      logs = new Map();
      seen = new Map();
      codes = new Set();
      broken = [];
      rows = 0;
      doubled = 0;
      waiting = [];
      looked = 0;
    },
    missing,
    destroyed(names) {
      const only = names.filter(({ id }) => !seen.has(id));
      for (const { id, code } of only) {
        gone.add(id);
        if (code !== '') gone.add(code);
      }
      return only.length;
    },
    async faults(unanswered, spokeHomes) {
      // Receipts first: what they speak of is in the database by then.
      const receipts = spokeHomes.flatMap(receiptsIn);
      await read();
      for (const [log, receipt] of receipts) {
        const { size } = readCheckpoint(receipt);
        const stored = heads.find((head) => head.log === log)?.next_index ?? 0;
        if (size > stored) broken.push(`${log}: the spoke has a receipt for ${size} rows, the hub has ${stored}`);
        compare(log, receipt, 'the receipt at the spoke');
      }
      return { lost: unanswered.filter(isMissing).length, doubled, silentOpen, broken: [...broken] };
    },
  };
}

/** The newest receipt of each log that a spoke keeps. */
function receiptsIn(home: string): readonly (readonly [log: string, receipt: Buffer])[] {
  const found: [string, Buffer][] = [];
  const audit = join(home, 'audit');
  if (!existsSync(audit)) return found;
  for (const worker of readdirSync(audit)) {
    for (const epoch of existsSync(join(audit, worker, 'current')) ? readdirSync(join(audit, worker)) : []) {
      const folder = join(audit, worker, epoch);
      if (!existsSync(join(folder, 'receipt')) || !existsSync(join(folder, 'log.json'))) continue;
      const { log } = JSON.parse(readFileSync(join(folder, 'log.json'), 'utf8')) as { log: string };
      found.push([log, readFileSync(join(folder, 'receipt'))]);
    }
  }
  return found;
}

function isOpen({ target, status, row, code }: Received): boolean {
  if (status === 503) return false;
  if (target.status >= 400 && status < 400) return true;
  return status === 200 && row === '' && code === '' && !target.accept.includes('json');
}
