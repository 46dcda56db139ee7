// Reads the HTML form of an index page (PEP 503, 592, 658, 714, 740, 792) from the tokens of a conforming HTML
// tokenizer. No tree is built: links and meta elements are all that counts, and a page nested without end costs no more
// than a flat one.

import { type Token, Tokenizer, TokenizerMode } from 'parse5';
import { readFileName } from './file-name.ts';
import {
  INDEX_FILES_MAX,
  type IndexFile,
  type ProjectIndex,
  firstByName,
  isHashName,
  isHexDigest,
  malformed,
  readMinor,
  resolveUrl,
  settleProvenance,
} from './project-index.ts';

/** Most attributes of one element; the tokenizer compares each new one with all before it. */
export const ATTRIBUTES_MAX = 200;
/** Characters handed to the tokenizer at a time, so that the limit above is checked often enough. */
const CHUNK_CHARS = 16_384;

/** Elements whose content is text; which tokenizer state reads it. A tree builder would switch these by itself. */
const TEXT_ELEMENTS = new Map([
  ['script', TokenizerMode.SCRIPT_DATA],
  ['style', TokenizerMode.RAWTEXT],
  ['xmp', TokenizerMode.RAWTEXT],
  ['iframe', TokenizerMode.RAWTEXT],
  ['noembed', TokenizerMode.RAWTEXT],
  ['noframes', TokenizerMode.RAWTEXT],
  ['title', TokenizerMode.RCDATA],
  ['textarea', TokenizerMode.RCDATA],
  ['plaintext', TokenizerMode.PLAINTEXT],
]);

/** Says how many attributes the element that is still being read has so far. */
class BoundedTokenizer extends Tokenizer {
  get openAttributes(): number {
    const open = this.currentToken;
    return open !== null && 'attrs' in open ? open.attrs.length : 0;
  }
}

interface Page {
  readonly links: Token.TagToken[];
  readonly meta: Map<string, string>;
  base: string;
}

export function readHtmlIndex(bytes: Uint8Array, baseUrl: string, project: string): ProjectIndex {
  const page = tokenize(new TextDecoder('utf-8').decode(bytes), baseUrl);
  const version = page.meta.get('pypi:repository-version');
  const minor = version === undefined ? 0 : readMinor(version);
  const files: IndexFile[] = [];
  for (const link of page.links) {
    const file = readLink(link, page.base, project);
    if (file !== undefined) files.push(file);
  }
  return {
    minor,
    files: settleProvenance(firstByName(files)),
    versions: undefined,
    status: page.meta.get('pypi:project-status') ?? '',
    statusReason: page.meta.get('pypi:project-status-reason') ?? '',
  };
}

const ignore = (): void => undefined;

function tokenize(html: string, baseUrl: string): Page {
  const page: Page = { links: [], meta: new Map(), base: baseUrl };
  let baseSeen = false;
  const tokenizer = new BoundedTokenizer(
    {},
    {
      onStartTag(tag) {
        if (tag.attrs.length > ATTRIBUTES_MAX) throw malformed('an element has too many attributes');
        const state = TEXT_ELEMENTS.get(tag.tagName);
        if (state !== undefined) {
          tokenizer.state = state;
        } else if (tag.tagName === 'a') {
          if (page.links.length === INDEX_FILES_MAX) throw malformed(`it lists more than ${INDEX_FILES_MAX} files`);
          page.links.push(tag);
        } else if (tag.tagName === 'base' && !baseSeen) {
          const href = attribute(tag, 'href');
          const resolved = href === undefined ? undefined : resolveUrl(href.trim(), baseUrl);
          if (href !== undefined) baseSeen = true;
          if (resolved !== undefined) page.base = resolved.href;
        } else if (tag.tagName === 'meta') {
          const name = attribute(tag, 'name');
          const content = attribute(tag, 'content');
          if (name?.startsWith('pypi:') === true && content !== undefined && !page.meta.has(name)) {
            page.meta.set(name, content);
          }
        }
      },
      onEndTag: ignore,
      onCharacter: ignore,
      onNullCharacter: ignore,
      onWhitespaceCharacter: ignore,
      onComment: ignore,
      onDoctype: ignore,
      onEof: ignore,
    },
  );
  for (let start = 0; start < html.length; start += CHUNK_CHARS) {
    tokenizer.write(html.slice(start, start + CHUNK_CHARS), start + CHUNK_CHARS >= html.length);
    if (tokenizer.openAttributes > ATTRIBUTES_MAX) throw malformed('an element has too many attributes');
  }
  return page;
}

/** Links without a file name (parent folders, sort orders of a listing) or to other schemes are no files. */
function readLink(link: Token.TagToken, base: string, project: string): IndexFile | undefined {
  const url = resolveUrl((attribute(link, 'href') ?? '').trim(), base);
  if (url === undefined || attribute(link, 'href') === undefined) return undefined;
  const name = lastSegment(url);
  if (name === '') return undefined;
  const hashes = readHash(url.hash.slice(1));
  url.hash = '';
  const metadata = attribute(link, 'data-core-metadata') ?? attribute(link, 'data-dist-info-metadata');
  const provenance = attribute(link, 'data-provenance');
  return {
    name,
    url: url.href,
    version: readFileName(name, project).version,
    hashes,
    requiresPython: attribute(link, 'data-requires-python'),
    size: undefined,
    uploadTime: undefined,
    yanked: attribute(link, 'data-yanked'),
    coreMetadata: metadata === undefined || metadata === 'false' ? undefined : readHash(metadata),
    provenance: provenance === undefined ? undefined : provenance !== '',
  };
}

function lastSegment(url: URL): string {
  const segment = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** `sha256=<hex>`, possibly among others joined by '&'; {} when there is none. */
function readHash(text: string): Readonly<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const pair of text.split('&', 8)) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals);
    const digest = pair.slice(equals + 1);
    if (equals > 0 && isHashName(name) && isHexDigest(digest)) hashes[name] = digest.toLowerCase();
  }
  return hashes;
}

function attribute(tag: Token.TagToken, name: string): string | undefined {
  return tag.attrs.find((entry) => entry.name === name)?.value;
}
