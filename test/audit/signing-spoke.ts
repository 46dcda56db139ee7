// A spoke as the hub sees it: logs with keys of their own, bound to an enrolled key, whose batches carry signed tree heads and
// consistency proofs. It can also say what no honest spoke would.

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash, nodeHash } from '@weir/shared/audit/tlog/hash.ts';
import { bindLogKey } from '@weir/shared/audit/tlog/log-binding.ts';
import { logOrigin } from '@weir/shared/audit/tlog/names.ts';
import {
  createNoteSigner,
  type NoteSigner,
  parseVkey,
  rawPublicKey,
  type Verifier,
} from '@weir/shared/audit/tlog/note.ts';
import { consistencyProof } from '@weir/shared/audit/tlog/proof.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import { type AuditRow, ROW_VERSION, type RowDraft } from '@weir/shared/audit/row.ts';
import type { LogOpening, RowBatch } from '@weir/shared/wire/audit.ts';
import { servedDraft } from './sample-rows.ts';

export const WORKSPACE = 'trial';

export interface SigningLog {
  readonly id: string;
  readonly rows: Buffer[];
  readonly signer: NoteSigner;
  readonly key: Verifier;
  /** Adds rows and returns them. */
  add(count: number, draft?: (n: number) => RowDraft): readonly Buffer[];
  /** A row at an index, whether or not the log has it. */
  row(index: number, draft?: RowDraft, change?: Partial<AuditRow>): Buffer;
  /** The log up to `size` as another history that differs from row `from` on; same key. */
  forked(from: number): SigningLog;
  checkpoint(size?: number): Buffer;
  root(size?: number): Buffer;
  /** The rows [from, until) with tree head and proof. */
  batch(from: number, until?: number): Promise<RowBatch>;
  opening(change?: Partial<LogOpening>): LogOpening;
}

export interface SigningSpoke {
  readonly unit: string;
  readonly spoke: string;
  readonly key: KeyObject;
  /** 32 bytes, as enrolled. */
  readonly publicKey: Buffer;
  log(options?: { readonly worker?: string; readonly epoch?: string; readonly instance?: string }): SigningLog;
}

export function signingSpoke(unit = 'payments', spoke = 'edge-1'): SigningSpoke {
  const { privateKey: key } = generateKeyPairSync('ed25519');
  return {
    unit,
    spoke,
    key,
    publicKey: rawPublicKey(key),
    log: ({ worker = 'w0', epoch = 'e1', instance = 'i1' } = {}) =>
      signingLog({ unit, spoke, key, id: `${unit}.${spoke}.${worker}.${epoch}`, instance }),
  };
}

interface LogParts {
  readonly unit: string;
  readonly spoke: string;
  readonly key: KeyObject;
  readonly id: string;
  readonly instance: string;
  readonly signer?: NoteSigner;
  readonly rows?: readonly Buffer[];
}

function signingLog(parts: LogParts): SigningLog {
  const { unit, spoke, key, id, instance } = parts;
  const origin = logOrigin(WORKSPACE, id);
  const signer = parts.signer ?? createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey);
  const rows: Buffer[] = [...(parts.rows ?? [])];
  const binding = bindLogKey({ workspace: WORKSPACE, unit, spoke, log: id, vkey: signer.vkey }, key);

  function row(index: number, draft: RowDraft = servedDraft(), change: Partial<AuditRow> = {}): Buffer {
    return encodeRow({ ...draft, v: ROW_VERSION, log: id, index, unit, spoke, site: 'oslo', ...change });
  }
  /** Hash of a complete subtree, straight from the definition; rows that a test exchanges are hashed anew. */
  const known = new Map<number, { readonly of: Buffer; readonly hash: Buffer }>();
  function node(level: number, index: number): Buffer {
    const first = rows[index * 2 ** level] ?? Buffer.alloc(0);
    if (level === 0) {
      const kept = known.get(index);
      if (kept?.of === first) return kept.hash;
      const hash = leafHash(first);
      known.set(index, { of: first, hash });
      return hash;
    }
    return nodeHash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1));
  }
  function root(size = rows.length): Buffer {
    const edge = new TreeEdge();
    for (let index = 0; index < size; index += 1) edge.append(node(0, index));
    return edge.root();
  }

  const log: SigningLog = {
    id,
    rows,
    signer,
    key: parseVkey(signer.vkey),
    row,
    root,
    add(count, draft) {
      const added = Array.from({ length: count }, (_, n) => row(rows.length + n, draft?.(n)));
      rows.push(...added);
      return added;
    },
    forked(from) {
      const copy = signingLog({ ...parts, signer, rows: rows.slice(0, from) });
      copy.add(rows.length - from);
      return copy;
    },
    checkpoint: (size = rows.length) => signCheckpoint({ origin, size, root: root(size) }, signer),
    async batch(from, until = rows.length) {
      return {
        log: id,
        firstIndex: from,
        rows: rows.slice(from, until),
        checkpoint: log.checkpoint(until),
        proof: await consistencyProof(from, until, async (level, index) => node(level, index)),
      };
    },
    opening: (change = {}) => ({
      log: id,
      binding,
      instance,
      checkpoint: rows.length === 0 ? Buffer.alloc(0) : log.checkpoint(),
      receipt: Buffer.alloc(0),
      ...change,
    }),
  };
  return log;
}
