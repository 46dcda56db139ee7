import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCoreMetadata } from './core-metadata.ts';

const HEAD = 'Metadata-Version: 2.4\nName: foo\nVersion: 1.0\n';

const CASES: readonly (readonly [title: string, text: string, licence: string | undefined])[] = [
  ['an expression', `${HEAD}License-Expression: MIT OR Apache-2.0\nLicense: other\n`, 'MIT OR Apache-2.0'],
  ['a licence name', `${HEAD}License: BSD 3-Clause\n`, 'BSD 3-Clause'],
  ['a classifier', `${HEAD}Classifier: License :: OSI Approved :: MIT License\n`, 'MIT'],
  ['a name over a classifier', `${HEAD}License: MIT\nClassifier: License :: Free For Home Use\n`, 'MIT'],
  [
    'the classifier when the name is the whole text',
    `${HEAD}License: Permission is hereby granted\n        to everybody\nClassifier: License :: OSI Approved :: MIT License\n`,
    'MIT',
  ],
  [
    'the classifier when the name is prose',
    `${HEAD}License: Apache 2.0\nClassifier: License :: OSI Approved :: Apache Software License\n`,
    'Apache-2.0',
  ],
  [
    'an expression in the older field',
    `${HEAD}License: (MIT OR Apache-2.0) AND ISC\nClassifier: License :: Freeware\n`,
    '(MIT OR Apache-2.0) AND ISC',
  ],
  [
    'several classifiers',
    `${HEAD}Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n`,
    'MIT AND ISC',
  ],
  ['an unlisted classifier', `${HEAD}Classifier: License :: Free For Home Use\n`, 'Free For Home Use'],
  ['UNKNOWN', `${HEAD}License: UNKNOWN\n`, ''],
  ['nothing', HEAD, ''],
  ['Windows line ends', `${HEAD}License: MIT\n`.replaceAll('\n', '\r\n'), 'MIT'],
  ['a header that only the description has', `${HEAD}\nLicense: GPL\n`, ''],
  ['no core metadata', '<html>License: MIT</html>', undefined],
  ['no bytes', '', undefined],
  ['bytes that are no text', '\u0000\ufffd\u0001', undefined],
];

for (const [title, text, licence] of CASES) {
  test(`core metadata with ${title}`, () => {
    assert.deepEqual(readCoreMetadata(Buffer.from(text)), { licence });
  });
}

test('only the headers of a huge file are looked at', () => {
  const text = `${HEAD}License: MIT\n\n${'x'.repeat(3 << 20)}`;
  assert.deepEqual(readCoreMetadata(Buffer.from(text)), { licence: 'MIT' });
});
