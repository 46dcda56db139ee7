// A row and its proof in one text, checked with a public key and nothing else.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import { cosignCheckpoint, signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { logOrigin, receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner, parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { inclusionProof } from '@weir/shared/audit/tlog/proof.ts';
import { checkRowProof, encodeRowProof, parseRowProof, ROW_PROOF_MAX } from '@weir/shared/audit/tlog/row-proof.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { refusedDraft } from './sample-rows.ts';
import { tilesOf } from './tlog-layout.ts';

const LOG = 'payments.edge-1.w0.e1';
const SIZE = 300;
const INDEX = 259;
const TIME_S = 1_795_000_000;
const newKey = () => generateKeyPairSync('ed25519').privateKey;
const signer = createNoteSigner(logOrigin('weir', LOG), newKey());
const hubSigner = createNoteSigner(receiptKeyName('weir'), newKey(), COSIGNATURE_V1);
const log = parseVkey(signer.vkey);
const hub = parseVkey(hubSigner.vkey);

const rowAt = (index: number, change: Partial<AuditRow> = {}) =>
  encodeRow({ v: 1, log: LOG, index, unit: 'payments', spoke: 'edge-1', site: '', ...refusedDraft(), ...change });

/** The proof of row `INDEX` among rows of which that one may be another. */
async function proofOf(row: Buffer): Promise<string> {
  const rows = Array.from({ length: SIZE }, (_, index) => (index === INDEX ? row : rowAt(index)));
  const edge = new TreeEdge();
  for (const bytes of rows) edge.append(leafHash(bytes));
  const tiles = tilesOf(rows.map(leafHash));
  const read = nodesFromTiles(async (level, index) => tiles.get(`${level}/${index}`) ?? Buffer.alloc(0));
  const proof = await inclusionProof(SIZE, INDEX, read);
  const checkpoint = signCheckpoint({ origin: signer.name, size: SIZE, root: edge.root() }, signer);
  return encodeRowProof({ row, index: INDEX, proof, checkpoint: cosignCheckpoint(checkpoint, hubSigner, TIME_S) });
}

const ROW = rowAt(INDEX);
const TEXT = await proofOf(ROW);

test('the text proves its row, and the hub’s receipt if the hub’s key is known', () => {
  assert.match(TEXT, /^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex 259\n(?:\S{44}\n)+\naudit\.weir\.weir\//);
  assert.deepEqual(checkRowProof(TEXT, { log }), { row: ROW, index: INDEX, size: SIZE, receiptTimeS: null });
  assert.deepEqual(checkRowProof(TEXT, { log, hub }), { row: ROW, index: INDEX, size: SIZE, receiptTimeS: TIME_S });
  const unreceipted = TEXT.split('\n').slice(0, -2).join('\n');
  assert.equal(checkRowProof(`${unreceipted}\n`, { log, hub }).receiptTimeS, null);
});

test('a proof reads back as it was', () => {
  assert.equal(encodeRowProof(parseRowProof(TEXT)), TEXT);
});

test('every character changed is noticed; in the name of the hub’s key it makes the receipt another’s', () => {
  const hubLine = TEXT.lastIndexOf('— ');
  for (let at = 0; at < TEXT.length; at += 1) {
    const changed = `${TEXT.slice(0, at)}${TEXT[at] === 'A' ? 'B' : 'A'}${TEXT.slice(at + 1)}`;
    let receiptTimeS: number | null = 0;
    try {
      ({ receiptTimeS } = checkRowProof(changed, { log, hub }));
    } catch (thrown) {
      assert.ok(thrown instanceof WeirError && ['untrusted', 'invalid_argument'].includes(thrown.code), `at ${at}`);
      continue;
    }
    assert.ok(at > hubLine, `at ${at}`);
    assert.equal(receiptTimeS, null);
  }
});

test('a proof by another log’s key, or for another hub, is refused', () => {
  const otherLog = parseVkey(createNoteSigner(signer.name, newKey()).vkey);
  const otherHub = parseVkey(createNoteSigner(hubSigner.name, newKey(), COSIGNATURE_V1).vkey);
  assert.throws(() => checkRowProof(TEXT, { log: otherLog }), { code: 'untrusted' });
  assert.equal(checkRowProof(TEXT, { log, hub: otherHub }).receiptTimeS, null);
});

for (const [name, row] of [
  ['another index', rowAt(INDEX + 1)],
  ['another log', rowAt(INDEX, { log: 'payments.edge-1.w1.e1' })],
] as const) {
  test(`a row that names ${name} is refused, though it stands in the log`, async () => {
    const text = await proofOf(row);
    assert.throws(() => checkRowProof(text, { log }), { code: 'untrusted', message: /says that it is row/ });
  });
}

test('bytes that are no row are refused, though they stand in the log', async () => {
  const text = await proofOf(Buffer.from('{}'));
  assert.throws(() => checkRowProof(text, { log }), { code: 'corrupt' });
});

const [header = '', extra = '', index = '', ...rest] = TEXT.split('\n');
for (const [name, lines] of [
  ['nothing', ['']],
  ['another version', ['c2sp.org/tlog-proof@v2', extra, index, ...rest]],
  ['no row', [header, index, ...rest]],
  ['no index', [header, extra, ...rest]],
  ['an index with a leading zero', [header, extra, 'index 0259', ...rest]],
  ['a negative index', [header, extra, 'index -1', ...rest]],
  ['an index beyond 2^53', [header, extra, 'index 9007199254740992', ...rest]],
  ['a row that is not base64', [header, 'extra !', index, ...rest]],
  ['a row over the limit', [header, `extra ${Buffer.alloc(16_385).toString('base64')}`, index, ...rest]],
  ['a hash of 31 bytes', [header, extra, index, Buffer.alloc(31).toString('base64'), ...rest]],
  ['a hash of other spelling', [header, extra, index, `${rest[0] ?? ''}=`, ...rest.slice(1)]],
  ['too many hashes', [header, extra, index, ...Array.from({ length: 54 }, () => rest[0] ?? ''), ...rest]],
  ['no checkpoint', [header, extra, index, ...rest.slice(0, 3)]],
  ['carriage returns', [`${header}\r`, extra, index, ...rest]],
  ['more than the limit', [TEXT, 'x'.repeat(ROW_PROOF_MAX)]],
] as const) {
  test(`${name} is no proof`, () => {
    assert.throws(() => checkRowProof(lines.join('\n'), { log }), { code: 'invalid_argument' });
  });
}

for (const [name, change] of [
  ['a hash more', (lines: string[]) => lines.toSpliced(3, 0, lines[3] ?? '')],
  ['a hash less', (lines: string[]) => lines.toSpliced(3, 1)],
  ['two hashes exchanged', (lines: string[]) => lines.toSpliced(3, 2, lines[4] ?? '', lines[3] ?? '')],
  ['another index', (lines: string[]) => lines.with(2, 'index 258')],
] as const) {
  test(`${name} proves nothing`, () => {
    const text = change(TEXT.split('\n')).join('\n');
    assert.throws(() => checkRowProof(text, { log }), { code: 'untrusted' });
  });
}
