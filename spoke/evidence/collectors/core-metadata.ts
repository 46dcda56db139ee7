// Reads the licence out of a Python package's core metadata (METADATA, PKG-INFO, `.metadata` sidecars): the expression
// where there is one, else the old free-text field, else the classifiers. Everything else in the document is ignored.

import type { SignalFacts } from '../signals/signal.ts';

export const CORE_METADATA_LIMITS = { headerBytes: 256 << 10, licenceCharacters: 300 } as const;

type CoreMetadata = Extract<SignalFacts['coreMetadata'], { known: true }>['value'];

/** @returns licence undefined when the headers declare none; '' never */
export function readCoreMetadata(bytes: Uint8Array): CoreMetadata {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, CORE_METADATA_LIMITS.headerBytes))
    .toString('utf8')
    .replaceAll('\r\n', '\n');
  const end = text.indexOf('\n\n');
  let expression: string | undefined;
  let freeText: string | undefined;
  const classifiers: string[] = [];
  // A line that starts with white space continues the header above it, so only first lines name a header.
  for (const line of (end < 0 ? text : text.slice(0, end)).split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).trim();
    switch (line.slice(0, colon).toLowerCase()) {
      case 'license-expression':
        expression ??= value;
        break;
      case 'license':
        freeText ??= value;
        break;
      case 'classifier':
        if (value.startsWith(LICENCE_CLASSIFIER)) classifiers.push(value.slice(LICENCE_CLASSIFIER.length));
        break;
      default:
    }
  }
  const declared = [expression, freeText, ofClassifiers(classifiers)].find(
    (value) => value !== undefined && value !== '' && value !== 'UNKNOWN',
  );
  return { licence: declared?.slice(0, CORE_METADATA_LIMITS.licenceCharacters) };
}

const LICENCE_CLASSIFIER = 'License :: OSI Approved :: ';

/** Several classifiers do not say whether they are alternatives or joint terms; the stricter reading is joint. */
function ofClassifiers(classifiers: readonly string[]): string | undefined {
  const [first, ...others] = classifiers;
  if (first === undefined) return undefined;
  if (others.length === 0) return CLASSIFIED.get(first) ?? first;
  return classifiers.map((name) => CLASSIFIED.get(name) ?? 'LicenseRef-Unclassified').join(' AND ');
}

/** Classifiers that mean exactly one licence; "BSD License" and the like do not. */
const CLASSIFIED: ReadonlyMap<string, string> = new Map([
  ['Apache Software License', 'Apache-2.0'],
  ['GNU Affero General Public License v3', 'AGPL-3.0-only'],
  ['GNU Affero General Public License v3 or later (AGPLv3+)', 'AGPL-3.0-or-later'],
  ['GNU General Public License v2 (GPLv2)', 'GPL-2.0-only'],
  ['GNU General Public License v2 or later (GPLv2+)', 'GPL-2.0-or-later'],
  ['GNU General Public License v3 (GPLv3)', 'GPL-3.0-only'],
  ['GNU General Public License v3 or later (GPLv3+)', 'GPL-3.0-or-later'],
  ['GNU Lesser General Public License v3 (LGPLv3)', 'LGPL-3.0-only'],
  ['ISC License (ISCL)', 'ISC'],
  ['MIT License', 'MIT'],
  ['Mozilla Public License 2.0 (MPL 2.0)', 'MPL-2.0'],
  ['Python Software Foundation License', 'PSF-2.0'],
  ['The Unlicense (Unlicense)', 'Unlicense'],
  ['zlib/libpng License', 'Zlib'],
]);
