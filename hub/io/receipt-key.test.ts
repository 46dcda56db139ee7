import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { loadOrCreateReceiptKey } from './receipt-key.ts';

const folder = await mkdtemp(join(tmpdir(), 'weir-key-'));
after(() => rm(folder, { recursive: true }));

test('the key is made once, readable by its owner only, found again, and named after the workspace', async () => {
  const path = join(folder, 'made.pem');
  const [first, second] = await Promise.all([1, 2].map(() => loadOrCreateReceiptKey(path, 'trial')));
  assert.equal(first?.vkey, second?.vkey);
  assert.equal((await loadOrCreateReceiptKey(path, 'trial')).vkey, first?.vkey);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const { name, type } = parseVkey(first?.vkey ?? '');
  assert.deepEqual([name, type], ['hub.trial.weir/audit-mirror', 4]);
});

test('a key that others can read, is of another kind or is no key is refused', async () => {
  const open = join(folder, 'open.pem');
  await loadOrCreateReceiptKey(open, 'trial');
  await chmod(open, 0o644);
  await assert.rejects(loadOrCreateReceiptKey(open, 'trial'), { code: 'forbidden' });

  const other = join(folder, 'other.pem');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(other, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await assert.rejects(loadOrCreateReceiptKey(other, 'trial'), { code: 'corrupt' });

  const none = join(folder, 'none.pem');
  await writeFile(none, 'not a key', { mode: 0o600 });
  await assert.rejects(loadOrCreateReceiptKey(none, 'trial'), { code: 'corrupt' });
});
