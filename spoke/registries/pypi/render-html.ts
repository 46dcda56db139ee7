// The HTML form of an index page (PEP 503 and its successors).

import type { IndexFile } from './project-index.ts';
import { type Page, relativeLink } from './page.ts';

/** Which digest a link carries, in order of preference: one fragment holds one. */
const FRAGMENT_HASHES = ['sha256', 'sha512', 'sha384', 'sha224', 'sha1', 'md5'];

export function renderHtml(page: Page): string {
  const { index, project } = page;
  const meta = [['pypi:repository-version', `1.${index.minor}`]];
  if (index.status !== '') meta.push(['pypi:project-status', index.status]);
  if (index.statusReason !== '') meta.push(['pypi:project-status-reason', index.statusReason]);
  const lines = [
    '<!DOCTYPE html>',
    '<html>',
    '<head>',
    ...meta.map(([name = '', content = '']) => `<meta name="${name}" content="${escapeHtml(content)}">`),
    `<title>Links for ${escapeHtml(project)}</title>`,
    '</head>',
    '<body>',
    `<h1>Links for ${escapeHtml(project)}</h1>`,
    ...page.files.map((file) => `${renderLink(project, file)}<br>`),
    '</body>',
    '</html>',
    '',
  ];
  return lines.join('\n');
}

function renderLink(project: string, file: IndexFile): string {
  const attributes = [`href="${escapeHtml(`${relativeLink(project, file.name)}${fragment(file)}`)}"`];
  const add = (name: string, value: string): void => void attributes.push(`${name}="${escapeHtml(value)}"`);
  if (file.requiresPython !== undefined) add('data-requires-python', file.requiresPython);
  if (file.yanked !== undefined) add('data-yanked', file.yanked);
  if (file.coreMetadata !== undefined) {
    const [hash] = Object.entries(file.coreMetadata);
    const value = hash === undefined ? 'true' : `${hash[0]}=${hash[1]}`;
    add('data-dist-info-metadata', value);
    add('data-core-metadata', value);
  }
  return `<a ${attributes.join(' ')}>${escapeHtml(file.name)}</a>`;
}

function fragment(file: IndexFile): string {
  const name = FRAGMENT_HASHES.find((candidate) => file.hashes[candidate] !== undefined) ?? Object.keys(file.hashes)[0];
  return name === undefined ? '' : `#${name}=${file.hashes[name]}`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
