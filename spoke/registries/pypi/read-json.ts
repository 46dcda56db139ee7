// Reads the JSON form of an index page (PEP 691, 700, 714, 740, 792). Upstream's bytes are not trusted: every field is
// checked, a field of a wrong type is as good as absent, and only what makes the page unusable fails it.

import { readFileName } from './file-name.ts';
import { normalProject } from './names.ts';
import {
  INDEX_FILES_MAX,
  type IndexFile,
  type ProjectIndex,
  firstByName,
  isHashName,
  isHexDigest,
  malformed,
  readMinor,
  readTimestamp,
  resolveUrl,
  settleProvenance,
} from './project-index.ts';

type Fields = Readonly<Record<string, unknown>>;

export function readJsonIndex(bytes: Uint8Array, baseUrl: string, project: string): ProjectIndex {
  const page = fields(parse(bytes));
  if (page === undefined) throw malformed('it is no JSON object');
  const named = page['name'];
  if (typeof named === 'string' && normalProject(named) !== project) throw malformed('it is about another project');
  const listed = page['files'];
  if (!Array.isArray(listed)) throw malformed('it has no list of files');
  if (listed.length > INDEX_FILES_MAX) throw malformed(`it lists more than ${INDEX_FILES_MAX} files`);
  const minor = readMinor(text(fields(page['meta'])?.['api-version']) ?? '1.0');
  const status = fields(page['project-status']) ?? fields(fields(page['meta'])?.['project-status']);
  const files = listed.map((entry) => readFile(entry, baseUrl, project)).filter((file) => file !== undefined);
  return {
    minor,
    files: settleProvenance(firstByName(files)),
    versions: Array.isArray(page['versions'])
      ? page['versions'].filter((entry) => typeof entry === 'string')
      : undefined,
    status: text(status?.['status']) ?? '',
    statusReason: text(status?.['reason']) ?? '',
  };
}

/** Without a name or a reachable address an entry is no file that anybody could ask for. */
function readFile(entry: unknown, baseUrl: string, project: string): IndexFile | undefined {
  const file = fields(entry);
  const name = text(file?.['filename']);
  const url = resolveUrl(text(file?.['url']) ?? '', baseUrl);
  if (file === undefined || name === undefined || name === '' || url === undefined || file['url'] === '')
    return undefined;
  url.hash = '';
  const size = file['size'];
  const uploadTime = text(file['upload-time']);
  return {
    name,
    url: url.href,
    version: readFileName(name, project).version,
    hashes: readHashes(file['hashes']) ?? {},
    requiresPython: text(file['requires-python']),
    size: typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : undefined,
    uploadTime: readTimestamp(uploadTime) === undefined ? undefined : uploadTime,
    yanked: readYanked(file['yanked']),
    coreMetadata: readCoreMetadataKey(file['core-metadata'] ?? file['dist-info-metadata']),
    provenance: readProvenance(file['provenance']),
  };
}

/** Anything but an explicit "no" counts as yanked: a mark that cannot be read must not vanish. */
function readYanked(value: unknown): string | undefined {
  if (value === undefined || value === null || value === false) return undefined;
  return typeof value === 'string' ? value : '';
}

function readCoreMetadataKey(value: unknown): Readonly<Record<string, string>> | undefined {
  return value === true ? {} : readHashes(value);
}

function readProvenance(value: unknown): boolean | undefined {
  if (typeof value === 'string') return value !== '';
  return value === null ? false : undefined;
}

function readHashes(value: unknown): Readonly<Record<string, string>> | undefined {
  const entries = fields(value);
  if (entries === undefined) return undefined;
  const hashes: Record<string, string> = {};
  for (const [name, digest] of Object.entries(entries)) {
    if (isHashName(name) && typeof digest === 'string' && isHexDigest(digest)) hashes[name] = digest.toLowerCase();
  }
  return hashes;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw malformed('it is no JSON', cause);
  }
}

function fields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
