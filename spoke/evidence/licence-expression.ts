// Reads SPDX licence expressions and says whether a release can be used without any denied licence: of alternatives
// (OR) one acceptable choice is enough, of joint terms (AND) every one has to be acceptable.

export type LicenceExpression =
  | { readonly kind: 'licence'; readonly id: string }
  | { readonly kind: 'and' | 'or'; readonly left: LicenceExpression; readonly right: LicenceExpression };

export const LICENCE_LIMITS = { characters: 300, tokens: 64 } as const;

/** Spellings from before expressions were customary, each of which can mean only one licence. */
const LEGACY: Readonly<Record<string, string>> = {
  'apache 2': 'Apache-2.0',
  'apache 2.0': 'Apache-2.0',
  'apache license 2.0': 'Apache-2.0',
  'apache license, version 2.0': 'Apache-2.0',
  'apache software license': 'Apache-2.0',
  'apache software license 2.0': 'Apache-2.0',
  'bsd 2-clause': 'BSD-2-Clause',
  'bsd 3-clause': 'BSD-3-Clause',
  'bsd-3-clause license': 'BSD-3-Clause',
  expat: 'MIT',
  gplv2: 'GPL-2.0-only',
  gplv3: 'GPL-3.0-only',
  'gplv3+': 'GPL-3.0-or-later',
  lgplv3: 'LGPL-3.0-only',
  'isc license': 'ISC',
  'isc license (iscl)': 'ISC',
  'mit license': 'MIT',
  'the mit license': 'MIT',
  'the mit license (mit)': 'MIT',
  'mpl 2.0': 'MPL-2.0',
  'mozilla public license 2.0 (mpl 2.0)': 'MPL-2.0',
  'python software foundation license': 'PSF-2.0',
  'the unlicense (unlicense)': 'Unlicense',
};

/** @returns undefined for text that is no expression, too long, or too deeply composed */
export function parseLicence(text: string): LicenceExpression | undefined {
  const trimmed = text.trim();
  if (trimmed.length > LICENCE_LIMITS.characters) return undefined;
  const legacy = Object.hasOwn(LEGACY, trimmed.toLowerCase()) ? LEGACY[trimmed.toLowerCase()] : undefined;
  const tokens = (legacy ?? trimmed).match(/[()]|[^\s()]+/g) ?? [];
  if (tokens.length === 0 || tokens.length > LICENCE_LIMITS.tokens) return undefined;
  const reader = { tokens, next: 0 };
  const expression = readAlternatives(reader);
  return reader.next === tokens.length ? expression : undefined;
}

/** Every licence that an expression mentions, once each, sorted. */
export function licencesIn(expression: LicenceExpression): readonly string[] {
  const ids = new Set<string>();
  const visit = (part: LicenceExpression): void => {
    if (part.kind === 'licence') ids.add(part.id);
    else {
      visit(part.left);
      visit(part.right);
    }
  };
  visit(expression);
  return [...ids].toSorted();
}

/** Whether some way of using the release avoids every denied licence. */
export function isUsable(expression: LicenceExpression, isDenied: (id: string) => boolean): boolean {
  if (expression.kind === 'licence') return !isDenied(expression.id);
  const left = isUsable(expression.left, isDenied);
  const right = isUsable(expression.right, isDenied);
  return expression.kind === 'and' ? left && right : left || right;
}

/** The expression in one spelling, with only the parentheses it needs. */
export function licenceText(expression: LicenceExpression): string {
  if (expression.kind === 'licence') return expression.id;
  const [left, right] = [licenceText(expression.left), licenceText(expression.right)];
  if (expression.kind === 'or') return `${left} OR ${right}`;
  const inner = (side: LicenceExpression, text: string) => (side.kind === 'or' ? `(${text})` : text);
  return `${inner(expression.left, left)} AND ${inner(expression.right, right)}`;
}

/** One name for each licence: the bare and '+' forms of the GNU family are old names of `-only` and `-or-later`. */
export function currentLicenceId(id: string): string {
  const gnu = /^((?:A|L)?GPL-\d\.\d)(\+?)$/i.exec(id);
  if (gnu !== null) return `${(gnu[1] ?? '').toUpperCase()}${gnu[2] === '+' ? '-or-later' : '-only'}`;
  return id.endsWith('+') ? id.slice(0, -1) : id;
}

interface Reader {
  readonly tokens: readonly string[];
  next: number;
}

function readAlternatives(reader: Reader): LicenceExpression | undefined {
  return readChain(reader, 'or', readJointTerms);
}

function readJointTerms(reader: Reader): LicenceExpression | undefined {
  return readChain(reader, 'and', readTerm);
}

function readChain(
  reader: Reader,
  kind: 'and' | 'or',
  readPart: (reader: Reader) => LicenceExpression | undefined,
): LicenceExpression | undefined {
  let left = readPart(reader);
  while (left !== undefined && isKeyword(reader, kind)) {
    reader.next += 1;
    const right = readPart(reader);
    left = right === undefined ? undefined : { kind, left, right };
  }
  return left;
}

function readTerm(reader: Reader): LicenceExpression | undefined {
  const token = reader.tokens[reader.next];
  reader.next += 1;
  if (token === '(') {
    const inner = readAlternatives(reader);
    if (inner === undefined || reader.tokens[reader.next] !== ')') return undefined;
    reader.next += 1;
    return inner;
  }
  if (token === undefined || !/^[A-Za-z0-9][A-Za-z0-9.:-]*\+?$/.test(token) || /^(?:and|or|with)$/i.test(token))
    return undefined;
  if (isKeyword(reader, 'with')) {
    // An exception only ever adds permissions, so the licence stands for both.
    if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(reader.tokens[reader.next + 1] ?? '')) return undefined;
    reader.next += 2;
  }
  return { kind: 'licence', id: currentLicenceId(token) };
}

function isKeyword(reader: Reader, word: string): boolean {
  return reader.tokens[reader.next]?.toLowerCase() === word;
}
