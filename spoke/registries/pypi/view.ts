// The index page that a client gets: the files of the versions that may be seen, linked to this spoke. HTML, JSON and the
// older JSON document are three spellings of one list, so they cannot disagree on what is in it.

import type { MetadataDocument, Releases, View, ViewContext } from '../adapter.ts';
import { CONTENT_TYPES, REPRESENTATIONS, type Representation } from './accept.ts';
import { equalityKey, parseVersion } from '../../versions/pep440.ts';
import type { Page } from './page.ts';
import type { IndexFile } from './project-index.ts';
import { parsedOf, preferredVersion } from './read-metadata.ts';
import { renderHtml } from './render-html.ts';
import { renderJson } from './render-json.ts';
import { renderLegacyJson } from './render-legacy-json.ts';

export function renderView(
  document: MetadataDocument,
  releases: Releases,
  hidden: ReadonlySet<string>,
  context: ViewContext,
): View {
  const { index, versionOf } = parsedOf(document, releases);
  const version = (file: IndexFile): string => versionOf.get(file.name) ?? '';
  // A yank keeps everybody away but those who pin exactly, and those then read at the file why it is refused.
  const gone = new Set([...hidden].filter((candidate) => context.flagged?.has(candidate) !== true));
  const files = visibleFiles(index.files, version, gone).map((file) => flag(file, context.flagged?.get(version(file))));
  const shown = new Set(files.map(version));
  const preferred = preferredVersion(files, version);
  const page: Page = {
    project: releases.name.name,
    index,
    files,
    versions: withoutHidden(index.versions, releases, shown),
    preferred,
    versionOf: version,
    publicBase: context.publicBase,
  };
  const representation = REPRESENTATIONS.find((known) => known === context.representation) ?? 'html';
  return {
    contentType: CONTENT_TYPES[representation],
    body: Buffer.from(RENDERERS[representation](page)),
    versions: [...shown],
    preferred,
  };
}

const RENDERERS: Readonly<Record<Representation, (page: Page) => string>> = {
  json: renderJson,
  'html-v1': renderHtml,
  html: renderHtml,
  'legacy-json': renderLegacyJson,
};

/**
 * When no version that could be installed is left, all are shown: on an empty page installers report a missing package, or
 * take another index's, while a refused file tells why.
 */
function visibleFiles(
  files: readonly IndexFile[],
  versionOf: (file: IndexFile) => string,
  hidden: ReadonlySet<string>,
): readonly IndexFile[] {
  const visible = files.filter((file) => !hidden.has(versionOf(file)));
  return visible.some((file) => versionOf(file) !== '') ? visible : files;
}

/** Our sentence as a yank reason, where upstream has not yanked the file itself. */
function flag(file: IndexFile, sentence: string | undefined): IndexFile {
  return sentence === undefined || file.yanked !== undefined ? file : { ...file, yanked: sentence };
}

/** Compared as PEP 440 compares, since the list and the file names may spell one version differently. */
function withoutHidden(
  versions: readonly string[] | undefined,
  releases: Releases,
  shown: ReadonlySet<string>,
): readonly string[] | undefined {
  const gone = new Set(
    releases.releases.filter((release) => !shown.has(release.version)).map((release) => keyOf(release.version)),
  );
  return gone.size === 0 ? versions : versions?.filter((version) => !gone.has(keyOf(version)));
}

function keyOf(version: string): string {
  const parsed = parseVersion(version);
  return parsed === undefined ? '' : equalityKey(parsed);
}
