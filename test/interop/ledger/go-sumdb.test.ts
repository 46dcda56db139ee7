// What our logs publish, verified by Go's checksum-database packages and transparency.dev's: every format once as written, and once with one thing
// changed, which Go must refuse as we do.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { cosignCheckpoint, signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { bindLogKey } from '@weir/shared/audit/tlog/log-binding.ts';
import { logOrigin, receiptKeyName, spokeKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner } from '@weir/shared/audit/tlog/note.ts';
import { consistencyProof, inclusionProof } from '@weir/shared/audit/tlog/proof.ts';
import { encodeRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import { tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { goToolOrSkip } from '../../tools/go-tool.ts';
import { tilesOf } from '../../audit/tlog-layout.ts';
import { askGo, type Question, TLOG_CHECK } from './tlog-check.ts';

const WORKSPACE = 'weir';
const LOG = 'payments.edge-1.w0.0192f0c12d3e';
const TIME_S = 1_795_000_000;
const newKey = () => generateKeyPairSync('ed25519').privateKey;

test('notes, checkpoints, receipts and bindings open with x/mod/sumdb/note', async (t) => {
  const program = await goToolOrSkip(t, TLOG_CHECK);
  if (program === undefined) return;
  const signer = createNoteSigner(logOrigin(WORKSPACE, LOG), newKey());
  const hub = createNoteSigner(receiptKeyName(WORKSPACE), newKey(), COSIGNATURE_V1);
  const spokeKey = newKey();
  const spoke = createNoteSigner(spokeKeyName(WORKSPACE, 'payments', 'edge-1'), spokeKey);

  const checkpoint = signCheckpoint({ origin: signer.name, size: 70_001, root: leafHash(Buffer.from('root')) }, signer);
  const receipt = cosignCheckpoint(checkpoint, hub, TIME_S);
  const binding = bindLogKey(
    { workspace: WORKSPACE, unit: 'payments', spoke: 'edge-1', log: LOG, vkey: signer.vkey },
    spokeKey,
  );
  const changed = receipt.toString().replace('\n70001\n', '\n70002\n');

  const answers = await askGo(program, [
    { kind: 'note', vkey: signer.vkey, note: checkpoint.toString() },
    { kind: 'note', vkey: signer.vkey, note: receipt.toString() },
    { kind: 'cosigned', vkey: hub.vkey, note: receipt.toString() },
    { kind: 'note', vkey: spoke.vkey, note: binding.toString() },
    { kind: 'note', vkey: signer.vkey, note: changed },
    { kind: 'cosigned', vkey: hub.vkey, note: changed },
    { kind: 'note', vkey: spoke.vkey, note: checkpoint.toString() },
  ]);

  const text = checkpoint.toString().split('\n\n')[0];
  assert.deepEqual(answers.slice(0, 4), [
    { ok: true, text: `${text}\n` },
    { ok: true, text: `${text}\n`, unknown: 1 },
    { ok: true, text: `${text}\n`, unknown: 1, time: TIME_S },
    { ok: true, text: `weir-log-binding/v1\n${LOG}\n${signer.vkey}\n` },
  ]);
  assert.deepEqual(
    answers.slice(4).map(({ ok }) => ok),
    [false, false, false],
  );
});

test('leaf hashes, inclusion and consistency proofs of a log of 70,001 rows hold under x/mod/sumdb/tlog', async (t) => {
  const program = await goToolOrSkip(t, TLOG_CHECK);
  if (program === undefined) return;
  const size = 70_001;
  const rows = Array.from({ length: size }, (_, index) => Buffer.from(`{"index":${index}}`));
  const edge = new TreeEdge();
  const roots = new Map<number, Buffer>();
  const oldSizes = [1, 2, 255, 256, 257, 4096, 65_535, 65_536, 65_537, 70_000];
  for (const row of rows) {
    edge.append(leafHash(row));
    if (oldSizes.includes(edge.size)) roots.set(edge.size, edge.root());
  }
  const root = edge.root().toString('base64');
  const tiles = tilesOf(rows.map(leafHash));
  const read = nodesFromTiles(async (level, index) => tiles.get(`${level}/${index}`) ?? Buffer.alloc(0));

  const questions: Question[] = [];
  for (const index of [0, 1, 255, 256, 257, 32_768, 65_535, 65_536, 69_999, 70_000]) {
    const proof = (await inclusionProof(size, index, read)).map((hash) => hash.toString('base64'));
    const row = rows[index]?.toString('base64') ?? '';
    questions.push({ kind: 'inclusion', size, index, root, row, proof });
    questions.push({ kind: 'inclusion', size, index, root, row: Buffer.from('other').toString('base64'), proof });
  }
  for (const [old, from] of roots) {
    const proof = (await consistencyProof(old, size, read)).map((hash) => hash.toString('base64'));
    questions.push({ kind: 'consistency', size, root, old, from: from.toString('base64'), proof });
    questions.push({ kind: 'consistency', size, root, old, from: root, proof });
  }
  const answers = await askGo(program, questions);
  assert.deepEqual(
    answers.map(({ ok }) => ok),
    questions.map((_, at) => at % 2 === 0),
  );
  const [leaf] = await askGo(program, [{ kind: 'leaf', row: rows[7]?.toString('base64') }]);
  assert.equal(leaf?.value, leafHash(rows[7] ?? Buffer.alloc(0)).toString('base64'));
});

test('a row proof holds as its specification reads, and with a changed row it does not', async (t) => {
  const program = await goToolOrSkip(t, TLOG_CHECK);
  if (program === undefined) return;
  const signer = createNoteSigner(logOrigin(WORKSPACE, LOG), newKey());
  const hub = createNoteSigner(receiptKeyName(WORKSPACE), newKey(), COSIGNATURE_V1);
  const rows = Array.from({ length: 777 }, (_, index) => Buffer.from(`{"index":${index}}`));
  const edge = new TreeEdge();
  for (const row of rows) edge.append(leafHash(row));
  const tiles = tilesOf(rows.map(leafHash));
  const read = nodesFromTiles(async (level, index) => tiles.get(`${level}/${index}`) ?? Buffer.alloc(0));
  const checkpoint = cosignCheckpoint(
    signCheckpoint({ origin: signer.name, size: edge.size, root: edge.root() }, signer),
    hub,
    TIME_S,
  );
  const questions: Question[] = [];
  for (const index of [0, 300, 511, 512, 776]) {
    const row = rows[index] ?? Buffer.alloc(0);
    const proof = await inclusionProof(edge.size, index, read);
    questions.push({ kind: 'proof', vkey: signer.vkey, note: encodeRowProof({ row, index, proof, checkpoint }) });
    const other = Buffer.from('{}');
    questions.push({
      kind: 'proof',
      vkey: signer.vkey,
      note: encodeRowProof({ row: other, index, proof, checkpoint }),
    });
  }
  const answers = await askGo(program, questions);
  assert.deepEqual(
    answers.map(({ ok }) => ok),
    questions.map((_, at) => at % 2 === 0),
  );
  assert.equal(answers[2]?.text, '{"index":300}');
});

test('tiles are where x/mod/sumdb/tlog looks for them', async (t) => {
  const program = await goToolOrSkip(t, TLOG_CHECK);
  if (program === undefined) return;
  const places = [
    [0, 0, 256],
    [0, 999, 255],
    [1, 1000, 1],
    [2, 1_234_067, 256],
    [0, 2 ** 31, 17],
    [0, 2 ** 40, 256],
    [6, 5, 3],
  ] as const;
  const answers = await askGo(
    program,
    places.map(([level, index, width]) => ({ kind: 'path', level, index, width })),
  );
  assert.deepEqual(
    answers.map(({ value }) => value),
    places.map(([level, index, width]) => tilePath(level, index, width)),
  );
});
