import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import {
  type Checkpoint,
  cosignCheckpoint,
  openCheckpoint,
  openCosigned,
  openReceipt,
  readCheckpoint,
  signCheckpoint,
} from './checkpoint.ts';
import { EMPTY_ROOT, leafHash } from './hash.ts';
import { logOrigin, receiptKeyName } from './names.ts';
import { COSIGNATURE_V1, createNoteSigner, parseVkey, signatureLine, signNote } from './note.ts';

const newKey = () => generateKeyPairSync('ed25519').privateKey;
const signer = createNoteSigner(logOrigin('weir', 'payments.edge-1.w0.e1'), newKey());
const hubSigner = createNoteSigner(receiptKeyName('weir'), newKey(), COSIGNATURE_V1);
const log = parseVkey(signer.vkey);
const hub = parseVkey(hubSigner.vkey);
const ROOT = leafHash(Buffer.from('root'));
const TIME_S = 1_795_000_000;
const checkpoint: Checkpoint = { origin: signer.name, size: 2 ** 40 + 1, root: ROOT };
const note = signCheckpoint(checkpoint, signer);
const receipt = cosignCheckpoint(note, hubSigner, TIME_S);

test('a checkpoint is its three lines under one signature', () => {
  assert.match(
    note.toString(),
    /^audit\.weir\.weir\/payments\.edge-1\.w0\.e1\n1099511627777\n[A-Za-z0-9+/]{43}=\n\n— audit\.weir\.weir\/\S+ \S+\n$/,
  );
  assert.deepEqual(openCheckpoint(note, log), checkpoint);
  assert.deepEqual(readCheckpoint(note), checkpoint);
});

test('a receipt is the checkpoint and the hub’s line', () => {
  assert.ok(receipt.subarray(0, note.length).equals(note));
  assert.deepEqual(openReceipt(receipt, { log, hub }), { checkpoint, timeS: TIME_S });
  assert.deepEqual(openCheckpoint(receipt, log), checkpoint);
  assert.deepEqual(openCosigned(note, { log, hub }), { checkpoint, timeS: undefined });
});

test('a receipt lacks nothing', () => {
  const onlyHub = Buffer.from(`${receipt.toString().split('\n\n')[0]}\n\n${receipt.toString().split('\n').at(-2)}\n`);
  const second = createNoteSigner(receiptKeyName('weir'), newKey(), COSIGNATURE_V1);
  assert.throws(() => openReceipt(note, { log, hub }), { code: 'untrusted', message: /lacks the cosignature/ });
  assert.throws(() => openReceipt(onlyHub, { log, hub }), { code: 'untrusted', message: /lacks the signature/ });
  const byAnother = cosignCheckpoint(note, second, TIME_S);
  assert.throws(() => openReceipt(byAnother, { log, hub }), { code: 'untrusted' });
  const both = cosignCheckpoint(byAnother, hubSigner, TIME_S);
  assert.equal(openReceipt(both, { log, hub }).timeS, TIME_S);
});

test('every changed bit of a receipt is noticed', () => {
  for (let bit = 0; bit < receipt.length * 8; bit += 1) {
    const changed = Buffer.from(receipt);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => openReceipt(changed, { log, hub }), { code: 'untrusted' }, `bit ${bit}`);
  }
});

test('a hub’s cosignature for another checkpoint is none for this', () => {
  const other = cosignCheckpoint(signCheckpoint({ ...checkpoint, size: 7 }, signer), hubSigner, TIME_S);
  const moved = Buffer.from(`${note.toString()}${other.toString().split('\n').at(-2)}\n`);
  assert.throws(() => openReceipt(moved, { log, hub }), { code: 'untrusted' });
  assert.deepEqual(openCheckpoint(moved, log), checkpoint);
});

test('the hub does not sign where a line in its name already stands', () => {
  assert.throws(() => cosignCheckpoint(receipt, hubSigner, TIME_S), { code: 'untrusted' });
  const forged = Buffer.concat([note, Buffer.from(signatureLine(hubSigner, Buffer.alloc(72)))]);
  assert.throws(() => cosignCheckpoint(forged, hubSigner, TIME_S), { code: 'untrusted' });
});

for (const timeS of [-1, 0.5, Number.NaN, 2 ** 53]) {
  test(`${timeS} is no time to sign at`, () => {
    assert.throws(() => cosignCheckpoint(note, hubSigner, timeS), { code: 'invalid_argument' });
  });
}

test('keys are used for what they are for', () => {
  const logAsCosigner = createNoteSigner(signer.name, newKey(), COSIGNATURE_V1);
  assert.throws(() => cosignCheckpoint(note, signer, TIME_S), { code: 'invalid_argument' });
  assert.throws(() => openReceipt(receipt, { log, hub: log }), { code: 'invalid_argument' });
  assert.throws(() => openCheckpoint(note, hub), { code: 'invalid_argument' });
  assert.throws(() => openReceipt(receipt, { log: parseVkey(logAsCosigner.vkey), hub }), { code: 'invalid_argument' });
  assert.throws(() => signCheckpoint({ ...checkpoint, origin: logOrigin('weir', 'a.b.w0.e2') }, signer), {
    code: 'invalid_argument',
  });
});

test('the empty log has the empty root', () => {
  const empty = signCheckpoint({ origin: signer.name, size: 0, root: EMPTY_ROOT }, signer);
  assert.deepEqual(openCheckpoint(empty, log), { origin: signer.name, size: 0, root: EMPTY_ROOT });
});

for (const [name, size, root] of [
  ['an empty log with another root', 0, ROOT],
  ['a negative size', -1, ROOT],
  ['half a size', 1.5, ROOT],
  ['a size beyond 2^53', 2 ** 53, ROOT],
  ['a size in exponents', 1e21, ROOT],
  ['a short root', 5, ROOT.subarray(1)],
  ['a long root', 5, Buffer.concat([ROOT, ROOT])],
  ['no root', 5, Buffer.alloc(0)],
] as const) {
  test(`nothing is signed for ${name}`, () => {
    assert.throws(() => signCheckpoint({ origin: signer.name, size, root }, signer), { code: 'invalid_argument' });
  });
}

const root64 = ROOT.toString('base64');
for (const [name, text] of [
  ['two lines', `${signer.name}\n5\n`],
  ['an extension line', `${signer.name}\n5\n${root64}\nmore\n`],
  ['an empty origin', `\n5\n${root64}\n`],
  ['another origin', `${signer.name}x\n5\n${root64}\n`],
  ['a leading zero', `${signer.name}\n05\n${root64}\n`],
  ['a plus sign', `${signer.name}\n+5\n${root64}\n`],
  ['a negative size', `${signer.name}\n-5\n${root64}\n`],
  ['an exponent', `${signer.name}\n5e3\n${root64}\n`],
  ['a size beyond 2^53', `${signer.name}\n9007199254740992\n${root64}\n`],
  ['a size of no digits', `${signer.name}\n\n${root64}\n`],
  ['a root in other base64', `${signer.name}\n5\n${root64.replace('=', '')}\n`],
  ['a root of 31 bytes', `${signer.name}\n5\n${ROOT.subarray(1).toString('base64')}\n`],
  ['size 0 and another root', `${signer.name}\n0\n${root64}\n`],
  ['a binding', `weir-log-binding/v1\npayments.edge-1.w0.e1\n${signer.vkey}\n`],
] as const) {
  test(`a note with ${name} is no checkpoint, though the log signed it`, () => {
    assert.throws(() => openCheckpoint(signNote(text, signer), log), { code: 'untrusted' });
  });
}
