// The index page of a name that is refused before upstream is asked. pip says "no matching distribution" to a page that is
// refused or missing, and uv blames credentials, so the page is served, with one file on it: its version spells the request
// code, for whoever asks for any other version, and asking for the file itself is answered with the reason.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { View, ViewContext } from '../adapter.ts';
import { CONTENT_TYPES, REPRESENTATIONS } from './accept.ts';
import type { IndexFile } from './project-index.ts';
import { renderHtml } from './render-html.ts';
import { renderJson } from './render-json.ts';

/** The lowest version there is, with a local label that no public index may carry. */
const VERSION = '0+refused.by.weir.code.';

export function refusedName(name: PackageName, code: RequestCode, context: ViewContext): View | undefined {
  const representation = REPRESENTATIONS.find((known) => known === context.representation) ?? 'html';
  if (representation === 'legacy-json') return undefined;
  const version = `${VERSION}${code.toLowerCase()}`;
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

/** Whether a file is the one that such a page lists. */
export function isStandIn(file: string): boolean {
  return file.includes(`-${VERSION}`);
}
