// The process that tests kill, or starve of disk: appends rows from several writers to a real folder and tells each
// acknowledged row on its standard output, with its leaf hash. `limit` = stop after so many rows (0: never); `receipts` = what
// a hub would do, after each so many rows (0: never), so that rows are dropped and their segments made anew.

import { createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { openSpoolDisk } from '@weir/spoke/io/spool-disk.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { logParts, receiptFor } from './log-parts.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

const [, , folder = '', segmentBytes = '', totalBytes = '', limit = '0', receipts = '0'] = process.argv;
const WRITERS = 8;

const log = await createAuditLog({
  ...logParts,
  disk: await openSpoolDisk(folder),
  limits: { segmentBytes: Number(segmentBytes), totalBytes: Number(totalBytes), keepBytes: 0 },
});
process.stdout.write(`start ${log.stats().nextIndex} ${log.torn === undefined ? 'whole' : 'torn'}\n`);

let done = 0;
async function writer(): Promise<void> {
  while (Number(limit) === 0 || done < Number(limit)) {
    const draft = done % 5 === 0 ? refusedDraft() : servedDraft();
    done += 1;
    const { id, index, leaf } = await log.append(draft);
    // A pipe write is synchronous here: what the parent reads was acknowledged, what was acknowledged it reads.
    process.stdout.write(`row ${index} ${id} ${leaf.toString('hex')}\n`);
    if (Number(receipts) > 0 && index % Number(receipts) === 0) await log.acknowledge(await receiptFor(log, index));
  }
}

try {
  await Promise.all(Array.from({ length: WRITERS }, writer));
  process.stdout.write('end\n');
} catch (thrown) {
  process.stdout.write(`refused ${thrown instanceof WeirError ? thrown.code : String(thrown)} ${log.stats().state}\n`);
} finally {
  await log.close();
}
