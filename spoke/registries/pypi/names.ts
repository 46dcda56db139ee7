// Names of Python projects: the grammar of PEP 508 and the normal form of PEP 503.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';

/** Longer texts are no names; the longest real ones stay below 100 characters. */
export const NAME_CHARS_MAX = 200;

const PROJECT_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/** Lower case with every run of '-', '_' and '.' as one '-'; undefined when the text is no project name. */
export function normalProject(text: string): string | undefined {
  if (text.length > NAME_CHARS_MAX || !PROJECT_NAME.test(text)) return undefined;
  return text.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

export function normalizeName(text: string): PackageName | undefined {
  const name = normalProject(text);
  return name === undefined ? undefined : { ecosystem: 'pypi', namespace: '', name };
}
