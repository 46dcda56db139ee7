// A ledger on a real disk, killed with SIGKILL at random moments while logs roll and rows are recorded again: every told row
// stays, and of those that count each is there once.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLedgerDisk } from '@weir/spoke/io/ledger-disk.ts';
import { rowsOnDisk } from './ledger-ground.ts';

const PROCESS = join(import.meta.dirname, 'ledger-process.ts');
const ROUNDS = 6;

test('killed at random moments, with rolls and salvage under way', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-ledger-'));
  try {
    const told = new Set<string>();
    const salvaged = new Set<string>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const child = spawn(process.execPath, [PROCESS, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      const lines: string[] = [];
      let rest = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        const parts = (rest + chunk).split('\n');
        rest = parts.pop() ?? '';
        lines.push(...parts);
        for (const line of parts) if (line.startsWith('row ')) told.add(line.slice(4));
      });
      const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
      const wanted = randomInt(50, 800);
      while (lines.length < wanted && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 2));
      assert.equal(child.exitCode, null, 'it runs until it is killed');
      child.kill('SIGKILL');
      await closed;

      const disk = await openLedgerDisk(folder);
      const epochs = await rowsOnDisk(disk);
      await disk.close();
      for (const { rows } of epochs) {
        assert.deepEqual(
          rows.map(({ index }) => index),
          rows.map((_, n) => n),
        );
      }
      for (const row of epochs.flatMap(({ rows }) => rows)) if (row.outcome === 'log_salvaged') salvaged.add(row.id);
      const counts = new Map<string, number>();
      for (const { rows, closure } of epochs) {
        // Rows from here on stand in a younger log, or will.
        const until = closure?.salvage_from ?? rows.length;
        for (const { id } of rows.slice(0, until)) counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      const waiting = new Set(
        epochs.flatMap(({ rows, closure }) =>
          closure === undefined || closure.salvage_from === null
            ? []
            : rows.slice(closure.salvage_from).map(({ id }) => id),
        ),
      );
      for (const [id, count] of counts) assert.equal(count, 1, `round ${round}: ${id} stands ${count} times`);
      for (const id of told) assert.ok(counts.has(id) || waiting.has(id), `round ${round}: ${id} is lost`);
    }
    assert.ok(told.size > 300, String(told.size));
    assert.ok(salvaged.size > 0, 'rows of closed logs were recorded again');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
