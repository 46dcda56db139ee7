// What a page is rendered from, whatever its form; every link in it is this spoke's own.

import type { IndexFile, ProjectIndex } from './project-index.ts';

export interface Page {
  /** Normal name. */
  readonly project: string;
  readonly index: ProjectIndex;
  /** In document order; `url` of each still is upstream's and must not be used. */
  readonly files: readonly IndexFile[];
  /** The `versions` list without hidden ones; undefined when upstream has none. */
  readonly versions: readonly string[] | undefined;
  readonly preferred: string;
  readonly versionOf: (file: IndexFile) => string;
  /** Base URL of the mount, for the one document whose links cannot be relative. */
  readonly publicBase: string;
}

/** Link from an index page to a file: relative, so that it holds behind any prefix and any host name. */
export function relativeLink(project: string, file: string): string {
  return `../../files/${project}/${encodeURIComponent(file)}`;
}
