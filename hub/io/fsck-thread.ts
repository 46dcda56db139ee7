// Judges runs of rows in a thread of its own: hashing and reading rows would keep the hub's own thread from its spokes.

import { type MessagePort, parentPort } from 'node:worker_threads';
import { checkRun } from '../audit/fsck-rows.ts';
import type { RawRows } from '../store/row-scan.ts';

const port = parentPort as MessagePort;
port.on('message', ({ id, run }: { readonly id: number; readonly run: RawRows }) => {
  const report = checkRun(run);
  port.postMessage({ id, report }, [report.leaves.buffer]);
});
