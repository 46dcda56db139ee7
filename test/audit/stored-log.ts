// Logs as an honest spoke and an honest hub leave them in the database: sound rows, signed tree heads, receipts.

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import { type AuditRow, ROW_VERSION } from '@weir/shared/audit/row.ts';
import { cosignCheckpoint, signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { bindLogKey } from '@weir/shared/audit/tlog/log-binding.ts';
import { logOrigin, receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import {
  COSIGNATURE_V1,
  createNoteSigner,
  type NoteSigner,
  parseVkey,
  rawPublicKey,
  type Verifier,
} from '@weir/shared/audit/tlog/note.ts';
import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { type AuditStore, type NewRow, ROW_FLAGS } from '@weir/hub/store/audit-store.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

export const WORKSPACE = 'weir';
/** Rows committed at once. */
const GROUP = 4096;

export interface Signers {
  readonly hub: NoteSigner;
  readonly hubKey: Verifier;
  /** The spokes' enrolled audit key: one for all of them here. */
  readonly spoke: KeyObject;
  readonly spokePublic: Buffer;
  /** By log id. */
  readonly logs: Map<string, NoteSigner>;
}

export function makeSigners(): Signers {
  const hub = createNoteSigner(receiptKeyName(WORKSPACE), newKey(), COSIGNATURE_V1);
  const spoke = newKey();
  return { hub, hubKey: parseVkey(hub.vkey), spoke, spokePublic: rawPublicKey(spoke), logs: new Map() };
}

function newKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

/** A row as this log's spoke would write it; every seventh is a refusal. */
export function rowOf(log: string, index: number, atMs: number): AuditRow {
  const { unit = '', spoke = '' } = parseLogId(log) ?? {};
  const time = { time: new Date(atMs).toISOString() };
  const draft = index % 7 === 6 ? refusedDraft(time) : servedDraft(time);
  return { ...draft, v: ROW_VERSION, log, index, unit, spoke, site: 'oslo' };
}

/** Adds `count` rows to a log, one second apart from `firstMs` on, and makes the log when there is none. */
export async function growLog(
  store: AuditStore,
  signers: Signers,
  log: string,
  count: number,
  firstMs: number = Date.now(),
): Promise<void> {
  const { unit = '', spoke = '' } = parseLogId(log) ?? {};
  let signer = signers.logs.get(log);
  if (signer === undefined) {
    signer = createNoteSigner(logOrigin(WORKSPACE, log), newKey());
    signers.logs.set(log, signer);
  }
  const key = signer;
  const binding = bindLogKey({ workspace: WORKSPACE, unit, spoke, log, vkey: key.vkey }, signers.spoke);
  await store.admit({ log, unit, spoke, vkey: key.vkey, binding });
  for (let done = 0; done < count; done += GROUP) {
    await store.commitGroup([log], { careful: false }, (heads) => {
      const head = heads.get(log);
      if (head === undefined) throw new Error('the log was not admitted');
      const edge = TreeEdge.decode(head.nextIndex, head.edge);
      const rows: NewRow[] = [];
      let before = head.lastEventMs ?? 0;
      for (let at = 0; at < Math.min(GROUP, count - done); at += 1) {
        const row = rowOf(log, head.nextIndex + at, firstMs + (done + at) * 1000);
        const bytes = encodeRow(row);
        const leaf = leafHash(bytes);
        edge.append(leaf);
        rows.push({
          index: row.index,
          bytes,
          leaf,
          flags: Date.parse(row.time) < before ? ROW_FLAGS.backwards : 0,
          eventTimeMs: Date.parse(row.time),
          actor: row.actor.id,
          purl: row.subject.purl,
          level: row.level,
          rules: row.rules.map(({ rule }) => rule),
          code: row.code,
          action: row.action,
          outcome: row.outcome,
        });
        before = Date.parse(row.time);
      }
      const checkpoint = signCheckpoint({ origin: key.name, size: edge.size, root: edge.root() }, key);
      const receipt = cosignCheckpoint(checkpoint, signers.hub, Math.floor(Date.now() / 1000));
      const lastEventMs = rows.at(-1)?.eventTimeMs ?? 0;
      const append = {
        log,
        unit,
        spoke,
        rows: [store.prepare({ log, unit, spoke }, rows)],
        nextIndex: edge.size,
        edge: edge.encode(),
        checkpoint,
        receipt,
        lastEventMs,
      };
      return Promise.resolve({ appends: [append], closings: [] });
    });
  }
}
