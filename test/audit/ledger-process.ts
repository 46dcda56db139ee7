// The process that tests kill: a ledger on a real folder, with writers, a hub in memory that closes its logs, and so rolls and
// salvage all the time. Tells each durable row on its standard output.

import { openLedgerDisk } from '@weir/spoke/io/ledger-disk.ts';
import { ledgerOver, memoryHub } from './ledger-ground.ts';
import { servedDraft } from './sample-rows.ts';

const [, , folder = ''] = process.argv;
const WRITERS = 4;
const CLOSE_EVERY_MS = 60;

const hub = memoryHub();
const ledger = await ledgerOver(await openLedgerDisk(folder), {
  // Every start meets a hub that knows nothing of earlier logs: what they owe is shipped to it anew.
  ship: hub.ship,
  limits: { segmentBytes: 64 << 10, totalBytes: 64 << 20, keepBytes: 64 << 20, pendingBytes: 8 << 20 },
});
process.stdout.write('start\n');
void ledger.run(new AbortController().signal);
setInterval(() => hub.closed.set(ledger.open().id, 'poisoned'), CLOSE_EVERY_MS);

async function writer(): Promise<void> {
  for (;;) {
    const { id } = await ledger.append(servedDraft());
    // A pipe write is synchronous here: what the parent reads was acknowledged, what was acknowledged it reads.
    process.stdout.write(`row ${id}\n`);
  }
}
await Promise.all(Array.from({ length: WRITERS }, writer));
