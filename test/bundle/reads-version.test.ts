// Whether versions may share a verdict is decided from the syntax tree, and never wrongly with yes: every way to get at a
// version must be seen.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { readModule, type Module } from '@weir/hub/floor/ast.ts';
import type { Opa } from '@weir/hub/floor/opa.ts';
import { findVersionUse } from '@weir/hub/floor/reads-version.ts';
import { realOpa } from './opa-for-tests.ts';

let opa: Opa;
before(() => {
  opa = realOpa();
});

async function modules(...texts: readonly string[]): Promise<readonly Module[]> {
  const files = texts.map((text, index) => ({ path: `m${index}.rego`, content: Buffer.from(text) }));
  await using folder = await opa.open(files);
  const parsed: Module[] = [];
  for (const { path } of files) {
    const { status, stdout } = await folder.run(['parse', '--format=json', '--json-include=locations,-comments', path]);
    assert.equal(status, 0, stdout);
    parsed.push(readModule(path, JSON.parse(stdout)));
  }
  return parsed;
}

const rule = (body: string, head = 'findings contains {"candidate": i}'): string =>
  `package weir.floor.x\n\n${head} if {\n\tsome i, c in input.candidates\n${body
    .split('\n')
    .map((line) => `\t${line}`)
    .join('\n')}\n}\n`;

describe('versions must be judged one by one', () => {
  const cases: readonly [string, readonly string[]][] = [
    ...['version', 'purl', 'digest', 'size', 'published_at'].map((field): [string, readonly string[]] => [
      `subject.${field} is read`,
      [rule(`c.subject.${field} != ""`)],
    ]),
    ['through a variable', [rule('s := c.subject\ns.version != ""')]],
    ['through unification', [rule('s = c.subject\ns.version != ""')]],
    ['through a computed field', [rule('c.subject[input.request.client] != ""')]],
    ['through a computed field of the candidate', [rule('c[input.request.client].version != ""')]],
    ['through a function', [`${rule('late(c)')}\nlate(candidate) if candidate.subject.version == "1"\n`]],
    ['through two functions', [`${rule('f(c)')}\nf(a) if g(a.subject)\n\ng(b) if b.version == "1"\n`]],
    [
      'through a library',
      [
        'package weir.floor.x\n\nimport data.weir.lib.y\n\nfindings contains i if {\n\tsome i, c in input.candidates\n\ty.f(c)\n}\n',
        'package weir.lib.y\n\nf(c) if c.subject.digest == ""\n',
      ],
    ],
    ['through object.get', [rule('object.get(c, ["subject", "version"], "") != ""')]],
    ['through walk', [rule('walk(c, [_, "1.0.0"])')]],
    ['through json.marshal', [rule('contains(json.marshal(c), "1.0.0")')]],
    ['by going over the subject', [rule('some k, v in c.subject\nv == "1.0.0"')]],
    [
      'by a pattern',
      ['package weir.floor.x\n\nfindings contains 0 if some {"subject": {"version": "1"}} in input.candidates\n'],
    ],
    ['by handing the subject out', [rule('true', 'findings contains c.subject')]],
    ['by handing the candidate out', [rule('true', 'findings contains {"x": c}')]],
    [
      'by taking the whole input',
      ['package weir.floor.x\n\nfindings contains 0 if contains(json.marshal(input), "1")\n'],
    ],
    [
      'through an index',
      ['package weir.floor.x\n\nfindings contains i if input.candidates[i].subject.version == "1"\n'],
    ],
    [
      'through an import of input',
      [
        'package weir.floor.x\n\nimport input.candidates as all\n\nfindings contains i if all[i].subject.version == "1"\n',
      ],
    ],
    [
      'in an else',
      [`${rule('f(c) == 1')}\nf(c) := 1 if c.evidence.age.state == "hit"\n\nelse := 2 if c.subject.version == "1"\n`],
    ],
    ['inside a comprehension', [rule('count([1 | c.subject.version == "1"]) > 0')]],
    ['inside every', [rule('every x in [1] {\n\tc.subject.version == x\n}')]],
    ['under not', [rule('not c.subject.version')]],
    ['in a comparison of subjects', [rule('c.subject == {"name": "x"}')]],
    ['by counting candidates', ['package weir.floor.x\n\nfindings contains 0 if count(input.candidates) > 3\n']],
    [
      'by position',
      ['package weir.floor.x\n\nfindings contains 0 if input.candidates[0].evidence.age.state == "hit"\n'],
    ],
    ['by comparing candidates', [rule('some j, d in input.candidates\ni != j\nd.evidence.age.state == "hit"')]],
    [
      'by collecting candidates',
      [
        'package weir.floor.x\n\nfindings contains 0 if count([c | some c in input.candidates; c.evidence.age.state == "hit"]) > 3\n',
      ],
    ],
    ['by counting findings', [`${rule('true')}\nmany if count(findings) > 3\n`]],
    ['with `with`', [rule('f with input as {}\nc.evidence.age').concat('\nf if true\n')]],
  ];
  for (const [name, texts] of cases) {
    test(name, async () => assert.notEqual(findVersionUse(await modules(...texts)), undefined));
  }
});

describe('versions with equal evidence may share a verdict', () => {
  const cases: readonly [string, readonly string[]][] = [
    [
      'evidence, names and settings',
      [rule('c.evidence.age.value.hours < data.settings.policy.cooldown_hours\nc.subject.name != c.subject.namespace')],
    ],
    ['the version in evidence', [rule('c.evidence.trust_downgrade.value.version == "1"')]],
    [
      'functions over subjects that read names',
      [`${rule('named(c.subject, "x")')}\nnamed(subject, name) if subject.name == name\n`],
    ],
    ['an index', ['package weir.floor.x\n\nfindings contains i if input.candidates[i].evidence.age.state == "hit"\n']],
    ['going over the evidence', [rule('some name, outcome in c.evidence\noutcome.state == "unknown"')]],
    [
      'approvals, request, actor and context',
      [
        rule(
          'input.request.action == "install"\nc.approvals[_] == "a"\ninput.context.now > 1\n"x" in input.actor.groups',
        ),
      ],
    ],
    [
      'collecting and sorting findings',
      [
        rule('c.evidence.age.state == "hit"'),
        'package weir.floor.main\n\nimport data.weir.floor.x\n\nresult := {"schema": input.schema, "findings": sort(union({x.findings}))}\n',
      ],
    ],
  ];
  for (const [name, texts] of cases) {
    test(name, async () => assert.equal(findVersionUse(await modules(...texts)), undefined));
  }
});
