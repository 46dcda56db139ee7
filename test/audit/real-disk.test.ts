// The spool on a real disk: killed with SIGKILL at random moments, starved of space by a real limit, and opened twice.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import { verifyInclusion } from '@weir/shared/audit/tlog/proof.ts';
import { createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { viewLog } from '@weir/spoke/audit/view-log.ts';
import { openSpoolDisk, setAsideSpool, viewSpoolDisk } from '@weir/spoke/io/spool-disk.ts';
import { logParts } from './log-parts.ts';

const PROCESS = join(import.meta.dirname, 'writing-process.ts');
const KIB = 1024;

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-spool-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Told {
  readonly lines: string[];
  readonly ended: Promise<void>;
}

function listen(child: ChildProcess): Told {
  const lines: string[] = [];
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return { lines, ended };
}

async function rowsOn(folder: string): Promise<readonly Buffer[]> {
  const view = await viewLog(viewSpoolDisk(folder));
  const rows: Buffer[] = [];
  for (let next = view.firstIndex; next < view.nextIndex; next = view.firstIndex + rows.length) {
    rows.push(...(await view.read(next, 1_000, 1 << 20)).rows);
  }
  return rows;
}

test('a writer killed at random moments loses no acknowledged row and doubles none', async () => {
  await withFolder(async (folder) => {
    const acknowledged = new Map<number, string>();
    for (let round = 0; round < 6; round += 1) {
      const child = spawn(process.execPath, [PROCESS, folder, String(256 * KIB), String(64 << 20)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { lines, ended } = listen(child);
      const wanted = randomInt(1, 1_500);
      while (lines.length < wanted && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 2));
      child.kill('SIGKILL');
      await ended;
      for (const line of lines) {
        const [kind, index, id] = line.split(' ');
        if (kind !== 'row') continue;
        assert.equal(acknowledged.has(Number(index)), false, `row ${index} was given twice`);
        acknowledged.set(Number(index), id ?? '');
      }
      const rows = (await rowsOn(folder)).map((bytes) => readRow(bytes));
      assert.deepEqual(
        rows.map(({ index }) => index),
        rows.map((_, n) => n),
      );
      for (const [index, id] of acknowledged) assert.equal(rows[index]?.id, id, `row ${index}`);
      assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
    }
    assert.ok(acknowledged.size > 100, String(acknowledged.size));
  });
});

test('a writer killed while receipted rows are dropped keeps what it needs to prove them all', async () => {
  await withFolder(async (folder) => {
    const leaves = new Map<number, Buffer>();
    for (let round = 0; round < 6; round += 1) {
      const child = spawn(process.execPath, [PROCESS, folder, String(64 * KIB), String(1 << 20), '0', '50'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { lines, ended } = listen(child);
      const wanted = randomInt(100, 1_500);
      while (lines.length < wanted && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 2));
      child.kill('SIGKILL');
      await ended;
      for (const line of lines) {
        const [kind, index, , leaf = ''] = line.split(' ');
        if (kind === 'row') leaves.set(Number(index), Buffer.from(leaf, 'hex'));
      }
    }
    const log = await createAuditLog({ ...logParts, disk: await openSpoolDisk(folder), limits: { keepBytes: 0 } });
    const { firstIndex, durableIndex: size } = log.stats();
    assert.ok(firstIndex > 256, String(firstIndex));
    assert.ok((log.receipt()?.size ?? 0) >= firstIndex);
    const root = await log.rootAt(size);
    const indexes = [...leaves.keys()];
    for (const index of indexes.filter((_, n) => n % 37 === 0 || n === indexes.length - 1)) {
      assert.ok(index < size, `row ${index} was acknowledged`);
      const proof = await log.inclusion(index, size);
      const leaf = leaves.get(index) ?? Buffer.alloc(0);
      assert.ok(verifyInclusion({ size, index, leaf, proof, root }), `row ${index} of ${size}`);
    }
    await log.close();
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.new')),
      [],
    );
  });
});

test('a file size limit of the system while allocating refuses rows as full, and all accepted rows stay', async () => {
  await withFolder(async (folder) => {
    // POSIX counts in 512 bytes: 128 KiB. Segments of 96 KiB fit, the write-ahead of a larger one does not: EFBIG.
    const first = spawn(
      'sh',
      [
        '-c',
        `ulimit -f 256; exec "$0" "$@"`,
        process.execPath,
        PROCESS,
        folder,
        String(96 * KIB),
        String(1 << 20),
        '60',
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const told = listen(first);
    await told.ended;
    assert.equal(told.lines.at(-1), 'end');

    // The same log, its next segments larger than the system lets any file become.
    const second = spawn(
      'sh',
      ['-c', `ulimit -f 256; exec "$0" "$@"`, process.execPath, PROCESS, folder, String(512 * KIB), String(8 << 20)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const starved = listen(second);
    await starved.ended;
    // Smaller rows may still have found their place in the last segment afterwards.
    assert.ok(starved.lines.includes('refused resource_exhausted full'), starved.lines.at(-1) ?? '');
    const accepted = [...told.lines, ...starved.lines]
      .filter((line) => line.startsWith('row '))
      .map((line) => line.split(' '));
    const rows = (await rowsOn(folder)).map((bytes) => readRow(bytes));
    for (const [, index, id] of accepted) assert.equal(rows[Number(index)]?.id, id);
    assert.equal(rows.length, accepted.length);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.new')),
      [],
    );
  });
});

test('a write beyond what the system allows latches the spool', async () => {
  await withFolder(async (folder) => {
    const first = spawn(process.execPath, [PROCESS, folder, String(512 * KIB), String(2 << 20), '10'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const told = listen(first);
    await told.ended;
    // The segment is there in full; writing past 64 KiB of it fails with EFBIG, or comes up short at the limit.
    const second = spawn(
      'sh',
      ['-c', `ulimit -f 128; exec "$0" "$@"`, process.execPath, PROCESS, folder, String(512 * KIB), String(2 << 20)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const starved = listen(second);
    await starved.ended;
    assert.match(starved.lines.at(-1) ?? '', /^refused spool_failed failed$/);
    const accepted = [...told.lines, ...starved.lines]
      .filter((line) => line.startsWith('row '))
      .map((line) => line.split(' '));
    assert.ok(accepted.length > 10);
    const rows = (await rowsOn(folder)).map((bytes) => readRow(bytes));
    for (const [, index, id] of accepted) assert.equal(rows[Number(index)]?.id, id);
  });
});

test('a folder has one writer at a time, in this process and beyond, also after a kill', async () => {
  await withFolder(async (folder) => {
    const disk = await openSpoolDisk(folder);
    await assert.rejects(openSpoolDisk(folder), { code: 'conflict' });
    const other = spawn(process.execPath, [PROCESS, folder, String(64 * KIB), String(1 << 20), '1'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const told = listen(other);
    await told.ended;
    assert.equal(other.exitCode, 1);
    assert.deepEqual(told.lines, []);
    await disk.close();

    const holder = spawn(process.execPath, [PROCESS, folder, String(64 * KIB), String(1 << 20)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const held = listen(holder);
    while (held.lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    await assert.rejects(openSpoolDisk(folder), { code: 'conflict' });
    holder.kill('SIGKILL');
    await held.ended;
    await (await openSpoolDisk(folder)).close();
  });
});

test('allocated segments are real and zero, small files are replaced whole, leftovers are cleared', async () => {
  await withFolder(async (folder) => {
    const disk = await openSpoolDisk(folder);
    await disk.allocate('a.seg', 3 * KIB * KIB + 5);
    const { size, blocks } = await stat(join(folder, 'a.seg'));
    assert.equal(size, 3 * KIB * KIB + 5);
    assert.ok(blocks * 512 >= size, 'a hole would need blocks at write time');
    const file = await disk.open('a.seg');
    assert.equal(await file.write(Buffer.from('abc'), 10), 3);
    await file.close();
    assert.deepEqual(await disk.read('a.seg', 9, 5), Buffer.from('\0abc\0'));
    await disk.zero('a.seg', 11, 13);
    assert.deepEqual(await disk.read('a.seg', 9, 5), Buffer.from('\0a\0\0\0'));
    assert.equal((await disk.read('a.seg', size - 2, 10)).length, 2);
    await assert.rejects(disk.read('b.seg', 0, 1), { code: 'not_found' });
    assert.equal(await disk.load('p.json'), undefined);
    await disk.replace('p.json', Buffer.from('one'));
    await disk.replace('p.json', Buffer.from('two'));
    assert.equal((await disk.load('p.json'))?.toString(), 'two');
    const { ino } = await stat(join(folder, 'a.seg'));
    await disk.recycle('a.seg', 'b.seg', size);
    const recycled = await stat(join(folder, 'b.seg'));
    assert.deepEqual([recycled.ino, recycled.size, recycled.blocks], [ino, size, blocks]);
    assert.ok((await disk.read('b.seg', 0, size)).every((byte) => byte === 0));
    await assert.rejects(disk.read('a.seg', 0, 1), { code: 'not_found' });
    await disk.store('tile/0/x001/002', Buffer.from('tile'));
    await disk.replace('receipts/7', Buffer.from('receipt'));
    await disk.flush(['tile/0/x001/002']);
    await assert.rejects(disk.flush(['tile/0/003']), { code: 'not_found' });
    assert.deepEqual(await disk.list('receipts'), ['7']);
    assert.deepEqual(await disk.list('nowhere'), []);
    assert.equal((await disk.load('tile/0/x001/002'))?.toString(), 'tile');
    await disk.remove('tile/0/x001/002');
    await disk.remove('no/such/file');
    await disk.remove('b.seg');
    await disk.remove('b.seg');
    await disk.close();
    await writeFile(join(folder, '0000000009.seg.new'), 'half');
    const again = await openSpoolDisk(folder);
    assert.deepEqual((await again.list()).toSorted(), ['lock.db', 'p.json', 'receipts', 'tile']);
    await again.close();
  });
});

test('a log set aside keeps its rows, and the next start begins a new one', async () => {
  await withFolder(async (parent) => {
    const folder = join(parent, 'w0');
    await assert.rejects(setAsideSpool(folder), { code: 'not_found' });
    for (const aside of ['w0.aside-1', 'w0.aside-2']) {
      const child = spawn(process.execPath, [PROCESS, folder, String(64 * KIB), String(1 << 20), '5'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { lines, ended } = listen(child);
      await ended;
      assert.equal(lines[0], 'start 0 whole');
      assert.equal(await setAsideSpool(folder), join(parent, aside));
    }
    assert.ok((await rowsOn(join(parent, 'w0.aside-1'))).length >= 5);
    const disk = await openSpoolDisk(folder);
    await assert.rejects(setAsideSpool(folder), { code: 'conflict' });
    await disk.close();
  });
});
