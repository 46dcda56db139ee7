import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import {
  COSIGNATURE_V1,
  cosignature,
  createNoteSigner,
  ED25519,
  formatVkey,
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  openNote,
  parseVkey,
  rawPublicKey,
  signatureLine,
  signNote,
} from './note.ts';

const key = generateKeyPairSync('ed25519').privateKey;
const signer = createNoteSigner('log.example/a', key);
const verifier = parseVkey(signer.vkey);
const other = createNoteSigner('log.example/b', generateKeyPairSync('ed25519').privateKey);
const TEXT = 'first line\n\nthird line\n';
const note = signNote(TEXT, signer).toString();
const line = (note.split('\n\n').at(-1) ?? '').trimEnd();

const open = (text: string | Uint8Array, verifiers = [verifier]) =>
  openNote(typeof text === 'string' ? Buffer.from(text) : text, verifiers);

// The example in the documentation of the format's first implementation.
test('a note and a key that others made are read', () => {
  const theirs = parseVkey('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
  const text =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
    '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
  assert.match(open(text, [theirs]).text, /^If you think/);
  assert.equal(theirs.keyId, 0xc74f20a3);
  parseVkey('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8');
});

test('what was signed is read, empty lines and all', () => {
  const { text, verified, unknown } = open(note);
  assert.equal(text, TEXT);
  assert.deepEqual(
    verified.map(({ name, keyId }) => [name, keyId]),
    [[signer.name, signer.keyId]],
  );
  assert.deepEqual(unknown, []);
});

test('signatures by unknown keys are handed out and not believed', () => {
  const forged = signatureLine(other, Buffer.alloc(64));
  const { verified, unknown } = open(note + forged);
  assert.equal(verified.length, 1);
  assert.deepEqual(unknown, [{ name: other.name, keyId: other.keyId, signature: Buffer.alloc(64) }]);
  assert.throws(() => open(note, [parseVkey(other.vkey)]), { code: 'untrusted', message: /no known key/ });
  assert.throws(() => open(note, []), { code: 'untrusted' });
});

test('a signature in a known name under another key id, or the reverse, is unknown', () => {
  for (const neighbour of [
    { name: signer.name, keyId: (signer.keyId ^ 1) >>> 0 },
    { name: 'log.example/c', keyId: signer.keyId },
  ]) {
    assert.equal(open(note + signatureLine(neighbour, Buffer.alloc(64))).unknown.length, 1);
  }
});

for (const [name, bad] of [
  ['empty', ''],
  ['only a text', TEXT],
  ['without a signature', `${TEXT}\n`],
  ['without the empty line', note.replace(`\n\n${line}`, `\n${line}`).replace('\n\nthird', '\nthird')],
  ['cut in the signature', note.slice(0, -9)],
  ['cut before the last newline', note.slice(0, -1)],
  ['with one more newline', `${note}\n`],
  ['with a carriage return', note.replace('first line\n', 'first line\r\n')],
  ['with a tab', note.replace('first line', 'first\tline')],
  ['with a zero byte', note.replace('first line', 'first\0line')],
  ['with another text', note.replace('first line', 'worst line')],
  ['with another dash', note.replace('— ', '- ')],
  ['with two spaces', note.replace('— ', '—  ')],
  ['with a word after the signature', note.replace(line, `${line} more`)],
  ['with a name of no letters', note.replace(line, line.replace(signer.name, ''))],
  ['with a plus in the name', note.replace(line, line.replace('example', 'ex+ample'))],
  ['with a no-break space in the name', note.replace(line, line.replace('example', 'ex\u00a0ample'))],
  ['with base64 that is none', note.replace(line, `${line.slice(0, -6)}!!!!!=`)],
  ['with base64 of other spelling', note.replace(line, line.replace(/=+$/, ''))],
  ['with a signature of no bytes', note.replace(line, `— ${signer.name} ${Buffer.alloc(4).toString('base64')}`)],
  ['signed twice by one key', `${note}${line}\n`],
  ['with a good and a wrong signature of one key', note + signatureLine(signer, Buffer.alloc(64))],
  ['with a short signature of a known key', note.replace(line, signatureLine(signer, Buffer.alloc(63)).trimEnd())],
  ['too large', `${'x'.repeat(NOTE_BYTES_MAX)}${note}`],
  ['with too many signatures', note + signatureLine(other, Buffer.alloc(64)).repeat(NOTE_SIGNATURES_MAX)],
] as const) {
  test(`a note ${name} is refused`, () => assert.throws(() => open(bad), { code: 'untrusted' }));
}

test('a note that is not UTF-8 is refused', () => {
  const bytes = Buffer.from(note);
  bytes[3] = 0xff;
  assert.throws(() => open(bytes), { code: 'untrusted' });
  assert.throws(() => open(`\ufeff${note}`), { code: 'untrusted' }, 'a byte order mark is a part of the text');
});

test('as many signatures as the limit are read', () => {
  const more = signatureLine(other, Buffer.alloc(64)).repeat(NOTE_SIGNATURES_MAX - 1);
  assert.equal(open(note + more).unknown.length, NOTE_SIGNATURES_MAX - 1);
});

test('every changed bit of a note is noticed', () => {
  const bytes = Buffer.from(note);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => open(changed), { code: 'untrusted' }, `bit ${bit}`);
  }
});

for (const text of ['', 'no newline', 'tab\t\n', 'null\0\n', 'lone \ud800\n', '\r\n']) {
  test(`${JSON.stringify(text)} is not signed`, () => {
    assert.throws(() => signNote(text, signer), { code: 'invalid_argument' });
  });
}

test('verifier keys are what they say, spelled in one way', () => {
  const { vkey } = signer;
  assert.deepEqual([verifier.name, verifier.keyId, verifier.type], [signer.name, signer.keyId, ED25519]);
  const [name = '', id = '', ...encoded] = vkey.split('+');
  const material = encoded.join('+');
  for (const bad of [
    '',
    name,
    `${name}+${id}`,
    `${name}+${id}+`,
    `other+${id}+${material}`,
    `${name}+00000000+${material}`,
    `${name}+${id.toUpperCase()}x+${material}`,
    `${name}+${id}+${material} `,
    `${name}+${id}+${material.replace(/=*$/, '')}!`,
    `${name}+${id}+${Buffer.concat([Buffer.from([2]), rawPublicKey(key)]).toString('base64')}`,
    `${name}+${id}+${Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]).toString('base64')}`,
    `a b+${id}+${material}`,
    `${'n'.repeat(301)}+${id}+${material}`,
    `${'n'.repeat(10_000)}+${id}+${material}`,
  ]) {
    assert.throws(() => parseVkey(bad), { code: 'invalid_argument' }, bad.slice(0, 80));
  }
});

test('a key of low order verifies nothing because it is never read', () => {
  const raw = Buffer.alloc(32);
  raw[0] = 1;
  assert.throws(() => formatVkey('log.example/a', raw, ED25519), { code: 'invalid_argument', message: /low order/ });
});

test('only Ed25519 private keys sign, under proper names', () => {
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const { publicKey } = generateKeyPairSync('ed25519');
  for (const bad of [p256, publicKey]) {
    assert.throws(() => createNoteSigner('log.example/a', bad), { code: 'invalid_argument' });
  }
  for (const name of ['', 'a b', 'a+b', 'a\nb', 'a\u2003b', '\ud800', 'n'.repeat(301)]) {
    assert.throws(() => createNoteSigner(name, key), { code: 'invalid_argument' }, JSON.stringify(name.slice(0, 20)));
  }
});

test('a cosigning key and a signing key of one name and key are two', () => {
  const cosigner = createNoteSigner(signer.name, key, COSIGNATURE_V1);
  assert.notEqual(cosigner.keyId, signer.keyId);
  assert.throws(() => signNote(TEXT, cosigner), { code: 'invalid_argument' });
  const signature = cosignature(TEXT, 1_700_000_000, cosigner);
  const witness = parseVkey(cosigner.vkey);
  assert.equal(witness.verify(TEXT, signature), true);
  assert.equal(verifier.verify(TEXT, signature), false);
  assert.equal(verifier.verify(TEXT, signature.subarray(8)), false);
  // The time is signed too, and one beyond 2^53 is none.
  const later = Buffer.from(signature);
  later.writeBigUInt64BE(1_700_000_001n);
  assert.equal(witness.verify(TEXT, later), false);
  later.writeBigUInt64BE(2n ** 63n);
  assert.equal(witness.verify(TEXT, later), false);
  assert.equal(witness.verify(TEXT, signature.subarray(0, 71)), false);
});
