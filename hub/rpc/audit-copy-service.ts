// AuditCopyService: how far the write-once copies are, and what is brought back from them.

import type { AuditCopyService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import type { RestoreStep } from '../audit/restore.ts';
import type { AuditStore } from '../store/audit-store.ts';
import type { CopyStore } from '../store/copy-store.ts';
import { cutPage, decodeCursor } from '../store/page.ts';
import { readLog } from './audit-messages.ts';
import { readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export interface AuditCopyParts {
  readonly copies: Pick<CopyStore, 'list'>;
  readonly store: Pick<AuditStore, 'head'>;
  readonly restore: (options: {
    readonly log: string;
    readonly lookOnly: boolean;
    readonly signal: AbortSignal;
  }) => AsyncIterable<RestoreStep>;
}

export function auditCopyService({
  copies,
  store,
  restore,
}: AuditCopyParts): OperatorHandlers<typeof AuditCopyService> {
  return {
    async listCopies({ log, page }) {
      const { size, cursor } = readPage(page);
      const [target, after] = decodeCursor(cursor, ['string', 'string']) ?? [];
      const found = await copies.list({
        log: log === '' ? '' : readLog(log),
        after: target === undefined ? undefined : { target: String(target), log: String(after) },
        limit: size + 1,
      });
      const { items, nextCursor } = cutPage(found, size, (last) => [last.target, last.log]);
      return {
        copies: await Promise.all(
          items.map(async (copy) => ({
            target: copy.target,
            log: copy.log,
            size: BigInt((await store.head(copy.log))?.nextIndex ?? 0),
            copied: BigInt(copy.copied),
            verified: BigInt(copy.verified),
            updatedAtMs: BigInt(copy.updatedAtMs),
          })),
        ),
        nextCursor,
      };
    },

    async *restore({ log, dryRun }, { signal }) {
      for await (const step of restore({ log: log === '' ? '' : readLog(log), lookOnly: dryRun, signal })) {
        yield { ...step, rows: BigInt(step.rows), total: BigInt(step.total), added: BigInt(step.added) };
      }
    },
  };
}
