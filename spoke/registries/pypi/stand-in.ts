// The page that stands in for a refused index page. pip says "no matching distribution" whatever the reason of a refused
// page, and uv blames credentials for a 403, so both get a page with one file on it: its version spells the request code,
// for whoever asks for any other version, and asking for the file is answered with the reason.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Refusal, View, ViewContext } from '../adapter.ts';
import { CONTENT_TYPES, REPRESENTATIONS } from './accept.ts';
import type { IndexFile } from './project-index.ts';
import { renderHtml } from './render-html.ts';
import { renderJson } from './render-json.ts';

/** The lowest version there is, with a local label that no public index may carry. */
const VERSION = '0+refused.by.weir.code.';

export function standIn(name: PackageName, refusal: Refusal, client: string, context: ViewContext): View | undefined {
  if (refusal.code === '' || !needsOne(refusal, client)) return undefined;
  const representation = REPRESENTATIONS.find((known) => known === context.representation) ?? 'html';
  if (representation === 'legacy-json') return undefined;
  const version = `${VERSION}${refusal.code.toLowerCase()}`;
  const file: IndexFile = {
    name: `${name.name.replaceAll('-', '_')}-${version}-py3-none-any.whl`,
    url: '',
    version,
    hashes: {},
    requiresPython: undefined,
    size: undefined,
    uploadTime: undefined,
    yanked: undefined,
    coreMetadata: undefined,
    provenance: undefined,
  };
  const page = {
    project: name.name,
    index: { minor: 0, files: [file], versions: undefined, status: '', statusReason: '' },
    files: [file],
    versions: undefined,
    preferred: version,
    versionOf: () => version,
    publicBase: context.publicBase,
  };
  return {
    contentType: CONTENT_TYPES[representation],
    body: Buffer.from(representation === 'json' ? renderJson(page) : renderHtml(page)),
    versions: [version],
    preferred: version,
  };
}

/** A client that sent no credentials must see the 401, or it would never ask for them. */
function needsOne({ status, signIn }: Refusal, client: string): boolean {
  if (client === 'pip') return signIn !== 'missing' && status !== 404;
  return client === 'uv' && status === 403 && signIn === undefined;
}

/** Whether a file is the one that such a page lists. */
export function isStandIn(file: string): boolean {
  return file.includes(`-${VERSION}`);
}
