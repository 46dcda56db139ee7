import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CORE_METADATA_LIMITS, readCoreMetadata } from './core-metadata.ts';

const HEAD = 'Metadata-Version: 2.4\nName: quiet-river\nVersion: 1.0\n';

test('the most exact declaration wins', () => {
  const rows: readonly (readonly [string, string | undefined])[] = [
    [
      'License-Expression: MIT\nLicense: ignored\nClassifier: License :: OSI Approved :: Apache Software License\n',
      'MIT',
    ],
    ['License: BSD-3-Clause\nClassifier: License :: OSI Approved :: MIT License\n', 'BSD-3-Clause'],
    ['License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n', 'MIT'],
    ['License:\nClassifier: License :: OSI Approved :: MIT License\n', 'MIT'],
    ['Classifier: License :: OSI Approved :: BSD License\n', 'BSD License'],
    [
      'Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: Apache Software License\n',
      'MIT AND Apache-2.0',
    ],
    [
      'Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: Banana\n',
      'MIT AND LicenseRef-Unclassified',
    ],
    ['Classifier: Programming Language :: Python\n', undefined],
    ['', undefined],
    ['license-expression: ISC\r\n', 'ISC'],
  ];
  for (const [headers, want] of rows)
    assert.equal(readCoreMetadata(Buffer.from(HEAD + headers)).licence, want, headers);
});

test('only headers count', () => {
  const cases = [
    `${HEAD}\nLicense: MIT\n`,
    `${HEAD}Description: first\n  License: MIT\n`,
    `${HEAD}X-License: MIT\n`,
    'License MIT',
  ];
  for (const text of cases) assert.equal(readCoreMetadata(Buffer.from(text)).licence, undefined, text);
});

test('hostile documents give at most a short text', () => {
  assert.equal(readCoreMetadata(Buffer.alloc(0)).licence, undefined);
  assert.equal(readCoreMetadata(Buffer.alloc(5_000_000, 0xff)).licence, undefined);
  const long = readCoreMetadata(Buffer.from(`License: ${'x'.repeat(100_000)}`)).licence;
  assert.equal(long?.length, CORE_METADATA_LIMITS.licenceCharacters);
  const late = Buffer.from(`A: ${'x'.repeat(CORE_METADATA_LIMITS.headerBytes)}\nLicense: MIT\n`);
  assert.equal(readCoreMetadata(late).licence, undefined);
  assert.equal(
    readCoreMetadata(Buffer.from('Classifier: License :: OSI Approved :: constructor\n')).licence,
    'constructor',
  );
});
