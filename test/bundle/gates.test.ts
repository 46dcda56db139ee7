// What the publish gates refuse, each with the file and the line that an author has to look at. Real OPA, shipped
// capabilities.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Gate, GateFinding } from '@weir/hub/floor/gate-finding.ts';
import type { GateOutcome, Gates } from '@weir/hub/floor/gates.ts';
import type { SourceFile } from '@weir/hub/store/policy-store.ts';
import { realGates } from './opa-for-tests.ts';
import { FLOOR, OVERLAY, files, type Tree } from './small-policy.ts';

let gates: Gates;
before(async () => {
  gates = await realGates();
});

function objections(outcome: GateOutcome): readonly GateFinding[] {
  return outcome.ok ? assert.fail('was accepted') : outcome.findings;
}

/** The tree with one text replaced by another in one file. */
function edited(tree: Tree, path: string, from: string, to: string): Tree {
  const text = tree[path] ?? '';
  assert.ok(text.includes(from), `${path} has no ${from}`);
  return { ...tree, [path]: text.replace(from, to) };
}

function lineOf(tree: Tree, path: string, text: string): number {
  return (tree[path] ?? '').slice(0, (tree[path] ?? '').indexOf(text)).split('\n').length;
}

test('a good floor compiles', async () => {
  const outcome = await gates.floor(files(FLOOR));
  assert.ok(outcome.ok, JSON.stringify(outcome));
  const { module, rules, coverage, readsVersion, vectors } = outcome.compiled;
  assert.ok(WebAssembly.validate(Buffer.from(module)));
  assert.deepEqual(
    rules.rules.map(({ id, layer }) => [id, layer]),
    [['WEIR-AGE-001', 'floor']],
  );
  assert.deepEqual(Object.keys(rules.texts), ['young']);
  assert.equal(coverage, 100);
  assert.equal(readsVersion, false);
  assert.equal(vectors.length, 2);
});

test('a good overlay compiles with the floor’s library', async () => {
  const outcome = await gates.overlay('payments', files(OVERLAY), files(FLOOR));
  assert.ok(outcome.ok, JSON.stringify(outcome));
  assert.deepEqual(
    outcome.compiled.rules.rules.map(({ id, layer }) => [id, layer]),
    [['WEIR-OV-PAYMENTS-001', 'overlay']],
  );
});

test('equal sources compile to equal bytes', async () => {
  const [a, b] = [await gates.floor(files(FLOOR)), await gates.floor(files(FLOOR).toReversed())];
  assert.ok(a.ok && b.ok);
  assert.deepEqual(a.compiled.module, b.compiled.module);
});

const AGE = 'floor/age/age.rego';
const floorCases: readonly { name: string; tree: Tree; gate: Gate; file: string; at?: string; says: RegExp }[] = [
  {
    name: 'bad Rego',
    tree: edited(FLOOR, AGE, 'some i, candidate in', 'some i, candidate within'),
    gate: 'parse',
    file: AGE,
    at: 'some i, candidate',
    says: /./,
  },
  {
    name: 'an undefined function',
    tree: edited(FLOOR, AGE, 'finding.of(', 'finding.off('),
    gate: 'check',
    file: AGE,
    at: 'findings contains',
    says: /undefined function/,
  },
  {
    name: 'an unused import',
    tree: edited(
      FLOOR,
      AGE,
      'import data.weir.lib.finding\n',
      'import data.weir.lib.finding\nimport data.weir.lib.other\n',
    ),
    gate: 'check',
    file: AGE,
    at: 'import data.weir.lib.other',
    says: /unused/,
  },
  {
    name: 'a forbidden built-in',
    tree: edited(
      FLOOR,
      AGE,
      'hours := candidate',
      'http.send({"method": "get", "url": "x"}).status_code == 200\n\thours := candidate',
    ),
    gate: 'check',
    file: AGE,
    at: 'http.send',
    says: /undefined function http\.send/,
  },
  {
    name: 'a clock',
    tree: edited(FLOOR, AGE, 'hours := candidate', 'time.now_ns() > 0\n\thours := candidate'),
    gate: 'check',
    file: AGE,
    at: 'time.now_ns',
    says: /undefined function time\.now_ns/,
  },
  {
    name: 'another format',
    tree: edited(FLOOR, AGE, 'hours := candidate', 'hours  :=  candidate'),
    gate: 'format',
    file: AGE,
    says: /opa fmt/,
  },
  {
    name: 'a failing test',
    tree: edited(FLOOR, 'floor/age/age_test.rego', 'findings) == 0', 'findings) == 1'),
    gate: 'tests',
    file: 'floor/age/age_test.rego',
    at: 'test_old_enough',
    says: /test_old_enough fails/,
  },
  {
    name: 'too little coverage',
    tree: { ...FLOOR, 'lib/extra.rego': 'package weir.lib.extra\n\nnever if input.nothing == 1\n' },
    gate: 'coverage',
    file: 'lib/extra.rego',
    at: 'never',
    says: /no test reaches/,
  },
  {
    name: 'METADATA without a level',
    tree: edited(FLOOR, AGE, '#   level: deny\n', ''),
    gate: 'metadata',
    file: AGE,
    at: 'package',
    says: /level/,
  },
  {
    name: 'a rule package without METADATA',
    tree: edited(FLOOR, AGE, '#   id: WEIR-AGE-001\n', ''),
    gate: 'metadata',
    file: AGE,
    at: 'package',
    says: /rule id/,
  },
  {
    name: 'an overlay’s rule id',
    tree: edited(FLOOR, AGE, '#   id: WEIR-AGE-001', '#   id: WEIR-OV-AGE-001'),
    gate: 'metadata',
    file: AGE,
    at: 'package',
    says: /WEIR-OV-/,
  },
  {
    name: 'a second entrypoint',
    tree: edited(FLOOR, AGE, '# title: A rule\n', '# title: A rule\n# entrypoint: true\n'),
    gate: 'metadata',
    file: AGE,
    at: 'package',
    says: /entrypoint/,
  },
  {
    name: 'a code without a text',
    tree: { ...FLOOR, 'catalogue/floor.json': '{}' },
    gate: 'catalogue',
    file: AGE,
    at: 'findings contains',
    says: /code young has no text/,
  },
  {
    name: 'a text without a code',
    tree: edited(FLOOR, 'catalogue/floor.json', '{"young"', '{"older":{"title":"x","detail":"x"},"young"'),
    gate: 'catalogue',
    file: '',
    says: /no rule emits code older/,
  },
  {
    name: 'a vector with another answer',
    tree: edited(FLOOR, 'selftest/floor.json', '"level":"deny"', '"level":"warn"'),
    gate: 'selftest',
    file: 'selftest/floor.json',
    says: /vector young: the compiled module answers/,
  },
  {
    name: 'no vectors',
    tree: edited(FLOOR, 'selftest/floor.json', '"vectors":[', '"vectors":[],"others":['),
    gate: 'selftest',
    file: 'selftest/floor.json',
    says: /others/,
  },
  {
    name: 'a foreign package',
    tree: { ...FLOOR, 'other.rego': 'package acme.other\n\nx := 1\n' },
    gate: 'namespace',
    file: 'other.rego',
    at: 'package',
    says: /neither weir\.floor nor weir\.lib/,
  },
];

describe('a floor is refused', () => {
  for (const { name, tree, gate, file, at, says } of floorCases) {
    test(`for ${name}`, async () => {
      const findings = objections(await gates.floor(files(tree)));
      const found = findings.find((finding) => finding.file === file && says.test(finding.message));
      assert.ok(found !== undefined, JSON.stringify(findings));
      assert.equal(found.gate, gate);
      if (at !== undefined) assert.equal(found.line, lineOf(tree, file, at));
    });
  }
});

const HEAD = 'package weir.overlay.payments\n\nimport data.weir.lib.finding\n';
const overlayCases: readonly { name: string; tree: Tree; gate: Gate; at: string; says: RegExp }[] = [
  {
    name: 'the floor’s package',
    tree: edited(OVERLAY, 'payments.rego', 'package weir.overlay.payments', 'package weir.floor.main'),
    gate: 'namespace',
    at: 'package',
    says: /package weir\.floor\.main is not weir\.overlay\.payments/,
  },
  {
    name: 'the library’s package',
    tree: edited(OVERLAY, 'payments.rego', 'package weir.overlay.payments', 'package weir.lib.finding'),
    gate: 'namespace',
    at: 'package',
    says: /package weir\.lib\.finding/,
  },
  {
    name: 'another unit’s package',
    tree: edited(OVERLAY, 'payments.rego', 'package weir.overlay.payments', 'package weir.overlay.research'),
    gate: 'namespace',
    at: 'package',
    says: /package weir\.overlay\.research/,
  },
  {
    name: 'a package that only begins alike',
    tree: edited(OVERLAY, 'payments.rego', 'package weir.overlay.payments', 'package weir.overlay.payments2'),
    gate: 'namespace',
    at: 'package',
    says: /payments2/,
  },
  {
    name: 'an import of the floor',
    tree: edited(OVERLAY, 'payments.rego', HEAD, `${HEAD}import data.weir.floor.age\n`),
    gate: 'namespace',
    at: 'import data.weir.floor.age',
    says: /data\.weir\.floor\.age is out of reach/,
  },
  {
    name: 'a reference to the floor',
    tree: edited(
      OVERLAY,
      'payments.rego',
      '\tname := candidate',
      '\tcount(data.weir.floor.age.findings) == 0\n\tname := candidate',
    ),
    gate: 'namespace',
    at: 'count(data.weir.floor',
    says: /out of reach/,
  },
  {
    name: 'a computed reference',
    tree: edited(OVERLAY, 'payments.rego', '\tname := candidate', '\tdata.weir[input.x].y == 1\n\tname := candidate'),
    gate: 'namespace',
    at: 'data.weir[input.x]',
    says: /out of reach/,
  },
  {
    name: 'data as a whole',
    tree: edited(OVERLAY, 'payments.rego', '\tname := candidate', '\tcount(data) > 0\n\tname := candidate'),
    gate: 'namespace',
    at: 'count(data)',
    says: /out of reach/,
  },
  {
    name: '`with` outside of tests',
    tree: edited(
      OVERLAY,
      'payments.rego',
      'in data.settings.policy.overlay.held',
      'in data.settings.policy.overlay.held with input as {}',
    ),
    gate: 'namespace',
    at: 'name in data.settings',
    says: /with/,
  },
  {
    name: 'a rule id of the floor',
    tree: edited(OVERLAY, 'payments.rego', 'of(i, "WEIR-OV-PAYMENTS-001"', 'of(i, "WEIR-AGE-001"'),
    gate: 'namespace',
    at: 'findings contains',
    says: /WEIR-AGE-001 is a rule of the floor/,
  },
  {
    name: 'METADATA with an id outside of its own range',
    tree: edited(OVERLAY, 'payments.rego', '#   id: WEIR-OV-PAYMENTS-001', '#   id: WEIR-XX-001'),
    gate: 'metadata',
    at: 'findings contains',
    says: /WEIR-OV-/,
  },
  {
    name: 'a built-in that only the floor may use',
    tree: edited(
      OVERLAY,
      'payments.rego',
      '\tname := candidate',
      '\tcount(numbers.range(1, 1000000)) > 0\n\tname := candidate',
    ),
    gate: 'check',
    at: 'count(numbers.range',
    says: /undefined function numbers\.range/,
  },
  {
    name: 'a text of the floor',
    tree: edited(
      OVERLAY,
      'catalogue/payments.json',
      '{"payments_name"',
      '{"young":{"title":"x","detail":"x"},"payments_name"',
    ),
    gate: 'catalogue',
    at: '',
    says: /young is a text of the floor/,
  },
];

describe('an overlay is refused', () => {
  for (const { name, tree, gate, at, says } of overlayCases) {
    test(`for ${name}`, async () => {
      const findings = objections(await gates.overlay('payments', files(tree), files(FLOOR)));
      const found = findings.find((finding) => says.test(finding.message));
      assert.ok(found !== undefined, JSON.stringify(findings));
      assert.equal(found.gate, gate);
      if (at !== '') assert.deepEqual([found.file, found.line], ['payments.rego', lineOf(tree, 'payments.rego', at)]);
    });
  }
  test('without tests', async () => {
    const { 'payments_test.rego': _tests, ...tree } = OVERLAY;
    const findings = objections(await gates.overlay('payments', files(tree), files(FLOOR)));
    assert.deepEqual(
      findings.map(({ gate, message }) => [gate, message]),
      [['tests', 'there are no tests']],
    );
  });
});

describe('a tree is refused before it touches a disk', () => {
  const content = new TextEncoder().encode('package weir.floor.x\n');
  const cases: readonly [string, readonly SourceFile[], RegExp][] = [
    ['a path that climbs', [{ path: '../x.rego', content }], /path/],
    ['an absolute path', [{ path: '/etc/x.rego', content }], /path/],
    ['a hidden file', [{ path: '.x.rego', content }], /path/],
    ['a backslash', [{ path: 'a\\b.rego', content }], /path/],
    ['a line break', [{ path: 'a\nb.rego', content }], /path/],
    ['a long path', [{ path: `${'a/'.repeat(150)}x.rego`, content }], /long/],
    ['a deep path', [{ path: `${'a/'.repeat(20)}x.rego`, content }], /deep/],
    [
      'names that differ in case only',
      [
        { path: 'a.rego', content },
        { path: 'A.rego', content },
      ],
      /two files/,
    ],
    ['a file too large', [{ path: 'a.rego', content: new Uint8Array((1 << 20) + 1).fill(0x20) }], /larger/],
    ['bytes that are no text', [{ path: 'a.rego', content: Uint8Array.of(0xff) }], /utf-8/],
    ['a file of another kind', [{ path: 'a.sh', content }], /kind of file/],
    ['a data file', [{ path: 'floor/data.json', content }], /kind of file/],
    ['nothing', [], /no rego/],
    ['too many files', Array.from({ length: 2001 }, (_, i) => ({ path: `f${i}.rego`, content })), /more than/],
  ];
  for (const [name, tree, says] of cases) {
    test(name, async () => {
      const findings = objections(await gates.floor(tree));
      assert.ok(findings.every(({ gate }) => gate === 'source'));
      assert.ok(
        findings.some(({ message }) => says.test(message)),
        JSON.stringify(findings),
      );
    });
  }
});
