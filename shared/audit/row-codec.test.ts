import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { requestCodeOf } from '../domain/request-code.ts';
import { recheckRow } from './recheck-row.ts';
import { encodeRow, readRow, rowText } from './row-codec.ts';
import { rowFaults } from './row-schema.ts';
import { type AuditRow, ROW_BYTES_MAX, type RowRule } from './row.ts';

const id = '0192f0c1-2d3e-7abc-8def-0123456789ab';
const rule: RowRule = {
  rule: 'WEIR-AGE-001',
  layer: 'floor',
  code: 'too_young',
  level: 'deny',
  effective: 'deny',
  exception: '',
  facts: { hours: 3, '10': [1, { b: 'é😀\u0001', a: null }], '9': true, _: 1.5e300 },
};
const row: AuditRow = {
  v: 1,
  id,
  log: 'payments.edge-1.w0.0192f0c12d3e',
  index: 7,
  time: '2026-11-22T05:14:00.123Z',
  unit: 'payments',
  spoke: 'edge-1',
  site: 'oslo',
  actor: { id: `h:${'0a'.repeat(16)}`, kind: 'token' },
  request: {
    ecosystem: 'npm',
    registry: 'npm',
    method: 'GET',
    route: 'artifact',
    client: 'npm',
    target: 'a-1.0.0.tgz',
  },
  subject: { purl: 'pkg:npm/a@1.0.0', digest: 'sha512:00' },
  action: 'install',
  level: 'deny',
  floor_level: 'deny',
  overlay_level: 'allow',
  mode: 'block',
  enforced: true,
  status: 403,
  outcome: 'refused',
  rules: [rule],
  exceptions: [],
  hidden: ['1.0.1-β'],
  hidden_count: 3,
  bundle: `sha256:${'1'.repeat(64)}`,
  input: `sha256:${'2'.repeat(64)}`,
  engine: 'weir/0.1.0',
  duration_us: 812,
  trace: 'f'.repeat(32),
  code: requestCodeOf(id),
};

function refusal(bytes: Uint8Array): string {
  try {
    readRow(bytes);
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return 'read';
}

test('a row is its canonical bytes and reads back as itself', () => {
  assert.equal(rowText(row), canonicalJson(row));
  assert.deepEqual(readRow(encodeRow(row)), row);
  assert.deepEqual(recheckRow(row), []);
});

test('the bytes of row version 1 stay what they are', () => {
  const plain = {
    ...row,
    rules: [],
    hidden: [],
    hidden_count: 0,
    level: 'allow',
    floor_level: 'allow',
    code: '',
  } as const;
  assert.equal(
    rowText(plain),
    `{"action":"install","actor":{"id":"h:${'0a'.repeat(16)}","kind":"token"},"bundle":"sha256:${'1'.repeat(64)}","code":"","duration_us":812,"enforced":true,"engine":"weir/0.1.0","exceptions":[],"floor_level":"allow","hidden":[],"hidden_count":0,"id":"0192f0c1-2d3e-7abc-8def-0123456789ab","index":7,"input":"sha256:${'2'.repeat(64)}","level":"allow","log":"payments.edge-1.w0.0192f0c12d3e","mode":"block","outcome":"refused","overlay_level":"allow","request":{"client":"npm","ecosystem":"npm","method":"GET","registry":"npm","route":"artifact","target":"a-1.0.0.tgz"},"rules":[],"site":"oslo","spoke":"edge-1","status":403,"subject":{"digest":"sha512:00","purl":"pkg:npm/a@1.0.0"},"time":"2026-11-22T05:14:00.123Z","trace":"${'f'.repeat(32)}","unit":"payments","v":1}`,
  );
});

const text = rowText(row);
const spellings: readonly (readonly [name: string, bytes: Uint8Array, refusal: RegExp])[] = [
  ['white space', Buffer.from(`${text} `), /canonical/],
  ['a duplicate key', Buffer.from(text.replace('"index":7', '"index":6,"index":7')), /canonical/],
  ['another key order', Buffer.from(JSON.stringify(row)), /canonical/],
  ['another number form', Buffer.from(text.replace('"index":7', '"index":7.0')), /canonical/],
  ['another string form', Buffer.from(text.replace('"oslo"', '"\\u006fslo"')), /canonical/],
  ['a byte order mark', Buffer.from(`\ufeff${text}`), /not JSON/],
  ['bytes that are not UTF-8', Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0x7d])]), /UTF-8/],
  ['a truncated row', Buffer.from(text.slice(0, -1)), /not JSON/],
  ['an unknown member', Buffer.from(text.replace('"v":1}', '"v":1,"x":1}')), /not a row/],
  ['a prototype member', Buffer.from(text.replace('"v":1}', '"v":1,"__proto__":{}}')), /not a row|canonical/],
  ['a missing member', Buffer.from(text.replace('"index":7,', '')), /not a row: index/],
  ['another version', Buffer.from(text.replace('"v":1}', '"v":2}')), /not a row: v/],
  [
    'a lone surrogate in a fact',
    Buffer.from(text.replace('"hours":3', '"hours":"\\ud800"')),
    /not a row: rules.0.facts/,
  ],
  ['a lone surrogate elsewhere', Buffer.from(text.replace('1.0.1-β', '\\udc00')), /not a row: hidden.0/],
  ['deep facts', Buffer.from(text.replace('"hours":3', `"hours":${'['.repeat(5000)}${']'.repeat(5000)}`)), /not a row/],
  ['nothing', new Uint8Array(), /not JSON/],
  ['a list', Buffer.from('[]'), /not a row/],
  ['more than the limit', Buffer.alloc(ROW_BYTES_MAX + 1, 0x20), /at most/],
];
for (const [name, bytes, expected] of spellings) {
  test(`${name} is refused`, () => assert.match(refusal(bytes), expected));
}

const faulty: readonly (readonly [name: string, change: Partial<AuditRow>, fault: RegExp])[] = [
  ['an id that is no UUIDv7', { id: '0192f0c1-2d3e-4abc-8def-0123456789ab' }, /^id/],
  ['a negative index', { index: -1 }, /^index/],
  ['an impossible time', { time: '2026-02-30T00:00:00.000Z' }, /^time/],
  ['a time before 1970', { time: '0000-01-01T00:00:00.000Z' }, /^time/],
  ['a log of another shape', { log: 'payments' }, /^log/],
  ['a purl with control characters', { subject: { purl: 'pkg:npm/a\n', digest: '' } }, /^subject.purl/],
  ['a plain principal', { actor: { id: 'jane@example.test', kind: 'person' } }, /^actor.id/],
  ['a code of other letters', { code: 'ILOU0000' }, /^code/],
  ['too many hidden versions', { hidden: Array.from({ length: 101 }, () => '1') }, /^hidden/],
];
for (const [name, change, fault] of faulty) {
  test(`${name} is no row`, () => assert.match(rowFaults({ ...row, ...change }).join(), fault));
}

const unsound: readonly (readonly [name: string, change: Partial<AuditRow>, fault: RegExp])[] = [
  ['a level below its rules', { level: 'warn' }, /level warn is not its rules' deny/],
  ['a level above its rules', { rules: [] }, /level deny is not its rules' allow/],
  ['a floor level below its rules', { floor_level: 'warn' }, /floor_level/],
  ['an overlay level above its rules', { overlay_level: 'deny' }, /overlay_level/],
  [
    'a lowering without an exception',
    { level: 'allow', floor_level: 'allow', rules: [{ ...rule, effective: 'allow' }] },
    /lowered by no/,
  ],
  ['a raised rule', { rules: [{ ...rule, level: 'warn' }] }, /raised/],
  ['an exception that is not listed', { rules: [{ ...rule, effective: 'deny', exception: 'x1' }] }, /does not list/],
  ['a lowered host rule', { rules: [{ ...rule, layer: 'host', exception: 'x1' }], exceptions: ['x1'] }, /host cannot/],
  ['a code of another row', { code: '00000000' }, /code/],
  ['fewer hidden than listed', { hidden_count: 0 }, /hidden_count/],
  ['no policy, yet a level below its rules', { input: '', level: 'allow', floor_level: 'allow' }, /below its rules/],
];
for (const [name, change, fault] of unsound) {
  test(`${name} is unsound`, () => assert.match(recheckRow({ ...row, ...change }).join(), fault));
}

const sound: readonly (readonly [name: string, change: Partial<AuditRow>])[] = [
  [
    'an exception lowers a rule',
    {
      level: 'allow',
      floor_level: 'allow',
      rules: [{ ...rule, effective: 'allow', exception: 'x1' }],
      exceptions: ['x1'],
    },
  ],
  ['a refusal before any policy ran', { input: '', rules: [], floor_level: 'allow' }],
  ['a failed floor counts as a deny of the host', { rules: [{ ...rule, layer: 'host' }] }],
  ['staleness alone', { rules: [{ ...rule, layer: 'host' }], floor_level: 'allow' }],
];
for (const [name, change] of sound) {
  test(`${name}: sound`, () => assert.deepEqual(recheckRow({ ...row, ...change }), []));
}
