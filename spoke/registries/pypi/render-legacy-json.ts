// The older JSON document of a project, derived from its index page, for tools that list versions through it. It holds
// what the page knows and leaves out the rest (summary, description, authors, vulnerabilities) rather than claim it empty.

import { readFileName } from './file-name.ts';
import type { IndexFile } from './project-index.ts';
import type { Page } from './page.ts';

const PACKAGE_TYPES = {
  wheel: 'bdist_wheel',
  sdist: 'sdist',
  egg: 'bdist_egg',
  installer: 'bdist_dumb',
  other: 'other',
};

export function renderLegacyJson(page: Page): string {
  const releases: Record<string, unknown[]> = {};
  for (const file of page.files) {
    const version = page.versionOf(file);
    if (version !== '') (releases[version] ??= []).push(legacyFile(file, page));
  }
  const newest = page.files.find((file) => page.versionOf(file) === page.preferred);
  return JSON.stringify({
    info: {
      name: page.project,
      version: page.preferred,
      requires_python: newest?.requiresPython ?? null,
      yanked: newest?.yanked !== undefined,
      yanked_reason: reasonOf(newest),
    },
    releases,
    urls: page.preferred === '' ? [] : (releases[page.preferred] ?? []),
  });
}

/** Tools do not resolve links of this document against its address, so these are absolute. */
function legacyFile(file: IndexFile, page: Page): Readonly<Record<string, unknown>> {
  return {
    filename: file.name,
    url: `${page.publicBase}/files/${page.project}/${encodeURIComponent(file.name)}`,
    packagetype: PACKAGE_TYPES[readFileName(file.name, page.project).kind],
    digests: file.hashes,
    requires_python: file.requiresPython ?? null,
    ...(file.size === undefined ? {} : { size: file.size }),
    ...(file.uploadTime === undefined ? {} : { upload_time_iso_8601: file.uploadTime }),
    yanked: file.yanked !== undefined,
    yanked_reason: reasonOf(file),
  };
}

function reasonOf(file: IndexFile | undefined): string | null {
  return file?.yanked === undefined || file.yanked === '' ? null : file.yanked;
}
