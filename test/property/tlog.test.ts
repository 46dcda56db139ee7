// Properties of the logs' trees and formats: whatever the tree, each of its proofs holds and no changed one does; what is
// written reads back; no bytes whatever are read as something that was not written.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cosignCheckpoint, openReceipt, signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { EMPTY_ROOT, leafHash, leafHashAt, nodeHash } from '@weir/shared/audit/tlog/hash.ts';
import { COSIGNATURE_V1, createNoteSigner, openNote, parseVkey, signNote } from '@weir/shared/audit/tlog/note.ts';
import {
  consistencyProof,
  inclusionProof,
  rootAt,
  verifyConsistency,
  verifyInclusion,
} from '@weir/shared/audit/tlog/proof.ts';
import { encodeRowProof, parseRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import {
  decodeEntries,
  encodeEntries,
  entriesPath,
  parseTilePath,
  tilePath,
  tileWidth,
} from '@weir/shared/audit/tlog/tile.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { tilesOf } from '../audit/tlog-layout.ts';

/** RFC 6962 §2.1, word for word. */
function definition(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1) return leaves[0] as Buffer;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(definition(leaves.slice(0, split)), definition(leaves.slice(split)));
}

const LEAVES = Array.from({ length: 1100 }, (_, index) => leafHash(Buffer.from(`row ${index}`)));
const TILES = tilesOf(LEAVES);
const read = nodesFromTiles(async (level, index) => TILES.get(`${level}/${index}`) ?? Buffer.alloc(0));
const size = fc.integer({ min: 1, max: LEAVES.length });
const place = size.chain((of) => fc.record({ size: fc.constant(of), index: fc.nat({ max: of - 1 }) }));
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => Buffer.from(array));
const count = fc.oneof(fc.nat(), fc.maxSafeNat());

const refused = (code: string) => (thrown: unknown) => thrown instanceof WeirError && thrown.code === code;

/** The hash with one bit changed. */
function flipped(of: Buffer, bit: number): Buffer {
  const changed = Buffer.from(of);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}

test('the edge’s root is the definition’s, from any point on and through any decoding', () => {
  fc.assert(
    fc.property(fc.array(bytes(40), { maxLength: 70 }), fc.nat({ max: 70 }), (rows, at) => {
      let edge = new TreeEdge();
      const leaves = rows.map(leafHash);
      for (const [index, leaf] of leaves.entries()) {
        if (index === at) edge = TreeEdge.decode(edge.size, edge.encode());
        edge.append(leaf);
      }
      assert.deepEqual(edge.root(), definition(leaves));
      assert.deepEqual(edge.clone().encode(), edge.encode());
    }),
  );
});

test('a row hashed in place is the row hashed alone', () => {
  fc.assert(
    fc.property(bytes(300), bytes(20), bytes(20), (row, before, after) => {
      const framed = Buffer.concat([before, Buffer.alloc(1), row, after]);
      const start = before.length + 1;
      assert.deepEqual(leafHashAt(framed, start, start + row.length), leafHash(row));
    }),
  );
});

test('roots out of tiles are the definition’s', async () => {
  await fc.assert(
    fc.asyncProperty(size, async (of) => {
      assert.deepEqual(await rootAt(of, read), definition(LEAVES.slice(0, of)));
    }),
    { numRuns: 60 },
  );
});

test('every inclusion proof holds, and none with one bit, index, size or hash changed', async () => {
  await fc.assert(
    fc.asyncProperty(place, fc.nat({ max: 255 }), fc.nat(), place, async ({ size: of, index }, bit, pick, other) => {
      const root = await rootAt(of, read);
      const leaf = LEAVES[index] as Buffer;
      const proof = await inclusionProof(of, index, read);
      const claim = { size: of, index, leaf, proof, root };
      assert.equal(verifyInclusion(claim), true);
      assert.equal(verifyInclusion({ ...claim, leaf: flipped(leaf, bit) }), false);
      assert.equal(verifyInclusion({ ...claim, root: flipped(root, bit) }), false);
      if (other.index !== index) assert.equal(verifyInclusion({ ...claim, index: other.index }), false);
      assert.equal(verifyInclusion({ ...claim, proof: [...proof, root] }), false);
      if (proof.length > 0) {
        const at = pick % proof.length;
        assert.equal(verifyInclusion({ ...claim, proof: proof.with(at, flipped(proof[at] as Buffer, bit)) }), false);
        assert.equal(verifyInclusion({ ...claim, proof: proof.toSpliced(at, 1) }), false);
      }
    }),
    { numRuns: 200 },
  );
});

test('every consistency proof holds, and none with one bit, size or hash changed', async () => {
  await fc.assert(
    fc.asyncProperty(size, size, fc.nat({ max: 255 }), fc.nat(), async (a, b, bit, pick) => {
      const [oldSize, newSize] = [Math.min(a, b), Math.max(a, b)];
      const [oldRoot, newRoot] = [await rootAt(oldSize, read), await rootAt(newSize, read)];
      const proof = await consistencyProof(oldSize, newSize, read);
      const claim = { oldSize, newSize, oldRoot, newRoot, proof };
      assert.equal(verifyConsistency(claim), true);
      assert.equal(verifyConsistency({ ...claim, oldRoot: flipped(oldRoot, bit) }), false);
      assert.equal(verifyConsistency({ ...claim, newRoot: flipped(newRoot, bit) }), false);
      assert.equal(verifyConsistency({ ...claim, proof: [...proof, newRoot] }), false);
      if (oldSize < newSize) assert.equal(verifyConsistency({ ...claim, oldSize: newSize, newSize: oldSize }), false);
      if (proof.length > 0) {
        const at = pick % proof.length;
        const changed = proof.with(at, flipped(proof[at] as Buffer, bit));
        assert.equal(verifyConsistency({ ...claim, proof: changed }), false);
        assert.equal(verifyConsistency({ ...claim, proof: proof.toSpliced(at, 1) }), false);
      }
    }),
    { numRuns: 200 },
  );
});

test('no rewritten tree is consistent with what it was', async () => {
  await fc.assert(
    fc.asyncProperty(place, size, async ({ size: oldSize, index }, newer) => {
      const newSize = Math.max(oldSize, newer);
      const leaves = LEAVES.slice(0, newSize).with(index, leafHash(Buffer.from('another row')));
      const tiles = tilesOf(leaves);
      const rewritten = nodesFromTiles(async (level, at) => tiles.get(`${level}/${at}`) ?? Buffer.alloc(0));
      const proof = await consistencyProof(oldSize, newSize, rewritten);
      const oldRoot = await rootAt(oldSize, read);
      const newRoot = await rootAt(newSize, rewritten);
      assert.equal(verifyConsistency({ oldSize, newSize, oldRoot, newRoot, proof }), false);
    }),
    { numRuns: 60 },
  );
});

test('proofs made of nothing prove nothing, and checking them never throws', () => {
  fc.assert(
    fc.property(count, count, fc.array(hash, { maxLength: 60 }), hash, hash, (a, b, proof, one, two) => {
      assert.equal(verifyInclusion({ size: a, index: b, leaf: one, root: two, proof }), false);
      if (a > 0) assert.equal(verifyConsistency({ oldSize: a, newSize: b, oldRoot: one, newRoot: two, proof }), false);
    }),
  );
  const odd = fc.oneof(fc.double(), fc.integer());
  const arrays = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(odd, odd, fc.array(arrays), arrays, (a, b, proof, one) => {
      verifyInclusion({ size: a, index: b, leaf: one, root: one, proof });
      verifyConsistency({ oldSize: a, newSize: b, oldRoot: one, newRoot: one, proof });
    }),
  );
});

test('bundles and paths read back as they were', () => {
  fc.assert(
    fc.property(fc.array(bytes(400), { maxLength: 256 }), (rows) => {
      assert.deepEqual(decodeEntries(encodeEntries(rows)), rows);
    }),
  );
  const width = fc.integer({ min: 1, max: 256 });
  fc.assert(
    fc.property(fc.nat({ max: 63 }), count, width, (level, index, of) => {
      assert.deepEqual(parseTilePath(tilePath(level, index, of)), { kind: 'tile', level, index, width: of });
      assert.deepEqual(parseTilePath(entriesPath(index, of)), { kind: 'entries', index, width: of });
    }),
  );
});

test('tiles of every level hold every hash once, and partial ones are at the end', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat({ max: 6 }), (of, level) => {
      const hashes = Math.floor(of / 256 ** level);
      const full = Math.floor(hashes / 256);
      if (full > 0) assert.equal(tileWidth(of, level, full - 1), 256);
      assert.equal(tileWidth(of, level, full), hashes % 256);
      assert.equal(tileWidth(of, level, full + 1), 0);
    }),
  );
});

test('no bytes are a bundle that would not be written so', () => {
  fc.assert(
    fc.property(bytes(600), (any) => {
      let rows: Buffer[];
      try {
        rows = decodeEntries(any);
      } catch (thrown) {
        assert.ok(thrown instanceof WeirError && thrown.code === 'corrupt');
        return;
      }
      assert.deepEqual(encodeEntries(rows), any);
    }),
  );
});

const signer = createNoteSigner('audit.weir.weir/a.b.w0.e1', generateKeyPairSync('ed25519').privateKey);
const cosigner = createNoteSigner(
  'hub.weir.weir/audit-mirror',
  generateKeyPairSync('ed25519').privateKey,
  COSIGNATURE_V1,
);
const keys = { log: parseVkey(signer.vkey), hub: parseVkey(cosigner.vkey) };

test('notes of any text open as what was signed', () => {
  const text = fc
    .string({ unit: 'grapheme', maxLength: 80 })
    // oxlint-disable-next-line no-control-regex -- what a note cannot have
    .map((any) => `${any.replaceAll(/[\u0000-\u0009\u000b-\u001f]/g, '\n')}\n`);
  fc.assert(
    fc.property(text, (of) => {
      assert.equal(openNote(signNote(of, signer), [keys.log]).text, of);
    }),
  );
});

test('receipts of any checkpoint and time open as what was signed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), hash, count, (of, root, timeS) => {
      const checkpoint = { origin: signer.name, size: of, root };
      const receipt = cosignCheckpoint(signCheckpoint(checkpoint, signer), cosigner, timeS);
      assert.deepEqual(openReceipt(receipt, keys), { checkpoint, timeS });
    }),
  );
});

test('no bytes are a note, a receipt or a verifier key unless signed so, and reading them fails in one way', () => {
  const lines = fc.array(fc.oneof(fc.string(), fc.constant(''), fc.constant(`— ${signer.name} AAAAAAA=`)), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        bytes(300),
        lines.map((of) => Buffer.from(of.join('\n'))),
      ),
      (any) => {
        assert.throws(() => openNote(any, [keys.log]), refused('untrusted'));
        assert.throws(() => openReceipt(any, keys), refused('untrusted'));
      },
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.string(), hash).map(([name, key]) => `${name}+00000000+${key.toString('base64')}`),
      ),
      (any) => {
        assert.throws(() => parseVkey(any), refused('invalid_argument'));
      },
    ),
  );
});

test('row proofs read back as they were', () => {
  const proofs = fc.record(
    {
      row: bytes(500),
      index: count,
      proof: fc.array(hash, { maxLength: 53 }),
      checkpoint: fc.string().map((text) => Buffer.from(text)),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(proofs, (proof) => {
      assert.deepEqual(parseRowProof(encodeRowProof(proof)), proof);
    }),
  );
});
