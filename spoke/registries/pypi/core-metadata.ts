// The licence out of a distribution's own metadata (METADATA of a wheel, PKG-INFO of a source archive), which the index
// does not carry. The file is a block of mail-like headers, then the description.

/** Headers end well before this; what follows is description. */
export const CORE_METADATA_BYTES_MAX = 1 << 20;
/** A longer `License` field is the licence's text, not its name. */
const LICENCE_NAME_CHARS_MAX = 100;

/** One identifier, or several joined by the operators of SPDX; `Apache 2.0` is neither. */
const EXPRESSION = /^\(*[A-Za-z0-9.+-]*[A-Za-z][A-Za-z0-9.+-]*\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9.+-]+\)*)*$/;

/** Trove classifiers that name exactly one SPDX licence. */
const SPDX_OF_CLASSIFIER = new Map([
  ['Academic Free License (AFL)', 'AFL-3.0'],
  ['Apache Software License', 'Apache-2.0'],
  ['BSD License', 'BSD-3-Clause'],
  ['Boost Software License 1.0 (BSL-1.0)', 'BSL-1.0'],
  ['CC0 1.0 Universal (CC0 1.0) Public Domain Dedication', 'CC0-1.0'],
  ['Eclipse Public License 1.0 (EPL-1.0)', 'EPL-1.0'],
  ['Eclipse Public License 2.0 (EPL-2.0)', 'EPL-2.0'],
  ['European Union Public Licence 1.1 (EUPL 1.1)', 'EUPL-1.1'],
  ['European Union Public Licence 1.2 (EUPL 1.2)', 'EUPL-1.2'],
  ['GNU Affero General Public License v3', 'AGPL-3.0-only'],
  ['GNU Affero General Public License v3 or later (AGPLv3+)', 'AGPL-3.0-or-later'],
  ['GNU General Public License v2 (GPLv2)', 'GPL-2.0-only'],
  ['GNU General Public License v2 or later (GPLv2+)', 'GPL-2.0-or-later'],
  ['GNU General Public License v3 (GPLv3)', 'GPL-3.0-only'],
  ['GNU General Public License v3 or later (GPLv3+)', 'GPL-3.0-or-later'],
  ['GNU Lesser General Public License v2 (LGPLv2)', 'LGPL-2.0-only'],
  ['GNU Lesser General Public License v2 or later (LGPLv2+)', 'LGPL-2.0-or-later'],
  ['GNU Lesser General Public License v3 (LGPLv3)', 'LGPL-3.0-only'],
  ['GNU Lesser General Public License v3 or later (LGPLv3+)', 'LGPL-3.0-or-later'],
  ['ISC License (ISCL)', 'ISC'],
  ['MIT License', 'MIT'],
  ['MIT No Attribution License (MIT-0)', 'MIT-0'],
  ['Mozilla Public License 1.1 (MPL 1.1)', 'MPL-1.1'],
  ['Mozilla Public License 2.0 (MPL 2.0)', 'MPL-2.0'],
  ['Python Software Foundation License', 'PSF-2.0'],
  ['Universal Permissive License (UPL)', 'UPL-1.0'],
  ['The Unlicense (Unlicense)', 'Unlicense'],
  ['zlib/libpng License', 'Zlib'],
]);

/**
 * `licence` is an SPDX expression where the metadata has one, else the licence's name as written; '' when the metadata
 * names none; undefined when these bytes are no core metadata.
 */
export function readCoreMetadata(bytes: Uint8Array): { readonly licence: string | undefined } {
  const headers = readHeaders(new TextDecoder('utf-8').decode(bytes.subarray(0, CORE_METADATA_BYTES_MAX)));
  if (!headers.has('metadata-version') || !headers.has('name')) return { licence: undefined };
  const expression = headers.get('license-expression')?.[0] ?? '';
  if (expression !== '') return { licence: expression };
  const named = licenceName(headers.get('license')?.[0] ?? '');
  const classified = fromClassifiers(headers.get('classifier') ?? []);
  // An older `License` field is free text: one that reads as an identifier or expression is taken at its word, prose only
  // when no classifier says the same in a form that can be compared.
  return { licence: EXPRESSION.test(named) || classified === '' ? named : classified };
}

/** '' when the field is empty, says UNKNOWN or holds the licence's text. */
function licenceName(field: string): string {
  const unusable = field.length > LICENCE_NAME_CHARS_MAX || field.includes('\n') || /^unknown$/i.test(field);
  return unusable ? '' : field;
}

/** Several licence classifiers mean a choice or a mix; which of both is not told, so all of them have to be acceptable. */
function fromClassifiers(classifiers: readonly string[]): string {
  const names = new Set<string>();
  for (const classifier of classifiers) {
    const parts = classifier.split(' :: ');
    const last = parts.at(-1) ?? '';
    if (parts[0] !== 'License' || last === 'License' || last === 'OSI Approved') continue;
    names.add(SPDX_OF_CLASSIFIER.get(last) ?? last);
  }
  return [...names].join(' AND ');
}

/** Lower-case field names to values in order; a line that begins with white space continues the one before. */
function readHeaders(text: string): ReadonlyMap<string, readonly string[]> {
  const headers = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (line === '') break;
    if (/^[ \t]/.test(line)) {
      if (current !== undefined && current.length > 0) current.push(`${current.pop() ?? ''}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    const name = line.slice(0, colon).toLowerCase();
    current = headers.get(name) ?? [];
    current.push(line.slice(colon + 1).trim());
    headers.set(name, current);
  }
  return headers;
}
