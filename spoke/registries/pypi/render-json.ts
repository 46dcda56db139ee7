// The JSON form of an index page (PEP 691 and its successors).

import { type Page, relativeLink } from './page.ts';

export function renderJson(page: Page): string {
  const { index } = page;
  return JSON.stringify({
    meta: { 'api-version': `1.${apiMinor(page)}` },
    name: page.project,
    ...(index.status === ''
      ? {}
      : {
          'project-status': {
            status: index.status,
            ...(index.statusReason === '' ? {} : { reason: index.statusReason }),
          },
        }),
    ...(page.versions === undefined ? {} : { versions: page.versions }),
    files: page.files.map((file) => {
      const metadata = hashesOrTrue(file.coreMetadata);
      return {
        filename: file.name,
        url: relativeLink(page.project, file.name),
        hashes: file.hashes,
        ...(file.requiresPython === undefined ? {} : { 'requires-python': file.requiresPython }),
        ...(file.size === undefined ? {} : { size: file.size }),
        ...(file.uploadTime === undefined ? {} : { 'upload-time': file.uploadTime }),
        yanked: file.yanked === undefined ? false : file.yanked === '' ? true : file.yanked,
        'core-metadata': metadata,
        'dist-info-metadata': metadata,
      };
    }),
  });
}

/** From 1.1 on a page must list versions and sizes; one that was read from HTML can not, and says 1.0. */
function apiMinor(page: Page): number {
  return page.versions === undefined || page.files.some((file) => file.size === undefined) ? 0 : page.index.minor;
}

function hashesOrTrue(
  hashes: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | boolean {
  if (hashes === undefined) return false;
  return Object.keys(hashes).length === 0 ? true : hashes;
}
