// A log of our making in the tlog-tiles layout, re-derived from its rows by Tessera's fsck, and what fsck says when one byte
// of it is another.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { logOrigin } from '@weir/shared/audit/tlog/names.ts';
import { createNoteSigner } from '@weir/shared/audit/tlog/note.ts';
import { entriesPath, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { goToolOrSkip } from '../../tools/go-tool.ts';
import { writeTiles } from '../../audit/tlog-layout.ts';
import { runTesseraFsck, TESSERA_FSCK } from './tessera-process.ts';

const SIZE = 70_001;

test('Tessera’s fsck re-derives every tile and the root of our log, and sees each changed byte', async (t) => {
  const program = await goToolOrSkip(t, TESSERA_FSCK);
  if (program === undefined) return;
  const folder = await mkdtemp(join(tmpdir(), 'weir-fsck-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const log = join(folder, 'log');
  const vkey = join(folder, 'vkey');

  const signer = createNoteSigner(
    logOrigin('weir', 'payments.edge-1.w0.0192f0c12d3e'),
    generateKeyPairSync('ed25519').privateKey,
  );
  const rows = Array.from({ length: SIZE }, (_, index) => Buffer.from(`{"index":${index}}`));
  const edge = new TreeEdge();
  for (const row of rows) edge.append(leafHash(row));
  const checkpoint = signCheckpoint({ origin: signer.name, size: SIZE, root: edge.root() }, signer);
  await writeTiles(log, rows, checkpoint);
  await writeFile(vkey, signer.vkey);
  const root = edge.root().toString('base64');
  const fsck = () => runTesseraFsck(program, log, vkey);

  const clean = await fsck();
  assert.ok(clean.includes(`Successfully fsck'd log with size ${SIZE} and root ${root}`), clean);

  for (const [what, path] of [
    ['a row', entriesPath(100)],
    ['the last row', entriesPath(273, SIZE % 256)],
    ['a leaf hash', tilePath(0, 17)],
    ['a node of the level above', tilePath(1, 1, 17)],
    ['the top', tilePath(2, 0, 1)],
    ['the checkpoint', 'checkpoint'],
  ] as const) {
    await t.test(`${what} changed`, async () => {
      const good = await readFile(join(log, path));
      const bad = Buffer.from(good);
      const at = path === 'checkpoint' ? signer.name.length + 3 : bad.length - 1;
      bad[at] = path === 'checkpoint' ? 0x31 : (bad[at] ?? 0) ^ 1;
      assert.notDeepEqual(bad, good);
      await writeFile(join(log, path), bad);
      const output = await fsck();
      await writeFile(join(log, path), good);
      assert.match(output, /fsck failed/);
      assert.doesNotMatch(output, /Successfully/);
    });
  }
  const again = await fsck();
  assert.match(again, /Successfully/);
});
