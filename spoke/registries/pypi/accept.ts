// Which form of an index page a client wants: the Accept header with q-values (PEP 691), or `?format=` where a client
// cannot set headers.

/** `legacy-json` is only ever asked for by path. */
export const REPRESENTATIONS = ['json', 'html-v1', 'html', 'legacy-json'] as const;
export type Representation = (typeof REPRESENTATIONS)[number];

export const CONTENT_TYPES: Readonly<Record<Representation, string>> = {
  json: 'application/vnd.pypi.simple.v1+json',
  'html-v1': 'application/vnd.pypi.simple.v1+html',
  html: 'text/html; charset=utf-8',
  'legacy-json': 'application/json',
};

/** Most ranges of an Accept header that are looked at. */
export const ACCEPT_RANGES_MAX = 50;

/** Offered media types; the earlier wins when a client names several with the same weight. */
const OFFERS: readonly { readonly type: string; readonly representation: Representation }[] = [
  { type: 'application/vnd.pypi.simple.v1+json', representation: 'json' },
  { type: 'application/vnd.pypi.simple.latest+json', representation: 'json' },
  { type: 'application/vnd.pypi.simple.v1+html', representation: 'html-v1' },
  { type: 'application/vnd.pypi.simple.latest+html', representation: 'html-v1' },
  { type: 'text/html', representation: 'html' },
];

/**
 * Without a usable header the answer is HTML, as PEP 503 clients expect; a header that accepts none of the forms gets
 * HTML too, since a 406 on an index page makes clients report a missing package.
 */
export function chooseRepresentation(accept: string | undefined, query: string): Representation {
  const format = new URLSearchParams(query).get('format');
  const asked = OFFERS.find((offer) => offer.type === format);
  if (asked !== undefined) return asked.representation;
  let best: { readonly weight: number; readonly named: boolean; readonly representation: Representation } = {
    weight: 0,
    named: false,
    representation: 'html',
  };
  const ranges = readRanges(accept ?? '');
  for (const offer of OFFERS) {
    const range = rangeFor(offer.type, ranges);
    if (range === undefined || range.weight === 0) continue;
    const better = range.weight > best.weight || (range.weight === best.weight && range.named && !best.named);
    if (better && (range.named || offer.representation === 'html')) {
      best = { weight: range.weight, named: range.named, representation: offer.representation };
    }
  }
  return best.representation;
}

interface Range {
  readonly type: string;
  /** 0 to 1. */
  readonly weight: number;
}

function readRanges(accept: string): readonly Range[] {
  return accept
    .split(',', ACCEPT_RANGES_MAX)
    .map((part) => {
      const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
      return { type, weight: readWeight(parameters) };
    })
    .filter((range) => range.type !== '');
}

function readWeight(parameters: readonly string[]): number {
  const q = parameters.find((parameter) => /^q\s*=/.test(parameter));
  if (q === undefined) return 1;
  const value = Number(q.slice(q.indexOf('=') + 1).trim());
  return value >= 0 && value <= 1 ? value : 0;
}

/** The most specific range that covers a type; `named` when the type itself is listed. */
function rangeFor(type: string, ranges: readonly Range[]): { weight: number; named: boolean } | undefined {
  const exact = ranges.find((range) => range.type === type);
  if (exact !== undefined) return { weight: exact.weight, named: true };
  const family = ranges.find((range) => range.type === `${type.slice(0, type.indexOf('/'))}/*`);
  const wildcard = family ?? ranges.find((range) => range.type === '*/*');
  return wildcard === undefined ? undefined : { weight: wildcard.weight, named: false };
}
