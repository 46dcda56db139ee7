// Compares with a golden file, or rewrites it when `WEIR_GOLDEN=write` is set. Golden files are reviewed as code and never
// edited by hand.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const REWRITE = process.env['WEIR_GOLDEN'] === 'write';

/** Fails when the file's text is not exactly `actual`. */
export function matchesGolden(file: string, actual: string): void {
  if (REWRITE) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
    return;
  }
  assert.equal(actual, readFileSync(file, 'utf8'), `differs from ${file}; WEIR_GOLDEN=write rewrites it`);
}
