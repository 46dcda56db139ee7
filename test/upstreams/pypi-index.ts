// A Python package index on loopback: PEP 503 HTML, PEP 691 JSON, PEP 658 metadata and real files, with switches for
// everything that an upstream can do wrong.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type LocalServer, type SeenRequest, once, startLocalServer } from './local-server.ts';
import {
  type BuiltDistribution,
  type PythonRelease,
  buildDistributions,
  normalProjectName,
} from './python-distribution.ts';
import { type Answer, TroubleTable, sendTroubled } from './trouble.ts';

export interface PypiIndexOptions {
  readonly releases?: readonly PythonRelease[];
  /** Answers HTML whatever the client accepts. */
  readonly htmlOnly?: boolean;
  readonly withoutUploadTime?: boolean;
  readonly withoutMetadata?: boolean;
  /** Serves the files from an origin of their own, as the public index does. */
  readonly separateFiles?: boolean;
}

export interface PypiIndex extends AsyncDisposable {
  readonly origin: string;
  /** What a client or a spoke is configured with: `<origin>/simple/`. */
  readonly indexUrl: string;
  readonly filesOrigin: string;
  /** Requests to the index, and to the files when they have no origin of their own. */
  readonly requests: readonly SeenRequest[];
  readonly fileRequests: readonly SeenRequest[];
  /** By path, e.g. `/simple/name/` or `/packages/name/file.whl`. */
  readonly trouble: TroubleTable;
  /** Path of a file, `/packages/<project>/<file>`. */
  filePath(project: string, file: string): string;
  publish(release: PythonRelease): Promise<readonly BuiltDistribution[]>;
  /** PEP 792 status of a project. */
  setStatus(project: string, status: string, reason: string): void;
  files(project: string): readonly BuiltDistribution[];
  close(): Promise<void>;
}

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

export async function startPypiIndex(options: PypiIndexOptions = {}): Promise<PypiIndex> {
  const projects = new Map<string, BuiltDistribution[]>();
  const statuses = new Map<string, { status: string; reason: string }>();
  const trouble = new TroubleTable();

  const publish = async (release: PythonRelease): Promise<readonly BuiltDistribution[]> => {
    const built = await buildDistributions(release);
    const project = normalProjectName(release.name);
    projects.set(project, [...(projects.get(project) ?? []), ...built]);
    return built;
  };
  for (const release of options.releases ?? []) await publish(release);

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const answer = answerFor(path, request);
    const spoiled = trouble.find(path);
    if (spoiled !== undefined) {
      const whole = answer ?? { headers: {}, body: Buffer.alloc(0) };
      trouble.sentBytes += await sendTroubled(response, whole, spoiled);
    } else if (answer === undefined) {
      response.writeHead(404, { 'content-type': 'text/plain' });
      response.end('no such thing');
    } else {
      response.writeHead(200, { ...answer.headers, 'content-length': answer.body.length });
      response.end(request.method === 'HEAD' ? undefined : answer.body);
    }
  };

  const server = await startLocalServer(handle);
  const fileServer: LocalServer = options.separateFiles === true ? await startLocalServer(handle) : server;

  function answerFor(path: string, request: IncomingMessage): Answer | undefined {
    const page = /^\/simple\/([^/]+)\/$/.exec(path);
    if (page !== null) return projectPage(page[1] ?? '', request);
    const file = /^\/packages\/([^/]+)\/([^/]+)$/.exec(path);
    return file === null ? undefined : fileAnswer(file[1] ?? '', decodeURIComponent(file[2] ?? ''));
  }

  function projectPage(project: string, request: IncomingMessage): Answer | undefined {
    const files = projects.get(project);
    if (files === undefined) return undefined;
    const wantsJson = options.htmlOnly !== true && (request.headers.accept ?? '').includes(JSON_TYPE);
    return wantsJson
      ? { headers: { 'content-type': JSON_TYPE }, body: Buffer.from(jsonPage(project, files)) }
      : { headers: { 'content-type': 'text/html; charset=utf-8' }, body: Buffer.from(htmlPage(project, files)) };
  }

  function fileAnswer(project: string, name: string): Answer | undefined {
    const files = projects.get(project) ?? [];
    const file = files.find((candidate) => candidate.file === name);
    if (file !== undefined) return { headers: { 'content-type': 'application/octet-stream' }, body: file.bytes };
    const sidecar = files.find((candidate) => `${candidate.file}.metadata` === name);
    if (sidecar === undefined || options.withoutMetadata === true) return undefined;
    return { headers: { 'content-type': 'application/octet-stream' }, body: sidecar.metadata };
  }

  const hasMetadata = (file: BuiltDistribution): boolean =>
    options.withoutMetadata !== true && file.file.endsWith('.whl');
  const urlOf = (project: string, file: BuiltDistribution): string =>
    `${fileServer.origin}/packages/${project}/${encodeURIComponent(file.file)}`;

  function jsonPage(project: string, files: readonly BuiltDistribution[]): string {
    const status = statuses.get(project);
    return JSON.stringify({
      meta: { 'api-version': '1.4' },
      name: project,
      ...(status === undefined ? {} : { 'project-status': status }),
      versions: [...new Set(files.map((file) => file.source.version))],
      files: files.map((file) => ({
        filename: file.file,
        url: urlOf(project, file),
        hashes: { sha256: file.sha256 },
        ...(file.source.requiresPython === undefined ? {} : { 'requires-python': file.source.requiresPython }),
        size: file.bytes.length,
        ...(options.withoutUploadTime === true ? {} : { 'upload-time': file.source.publishedAt }),
        yanked: file.source.yanked === undefined ? false : file.source.yanked || true,
        'core-metadata': hasMetadata(file) ? { sha256: file.metadataSha256 } : false,
        provenance: file.source.attested === true ? `${server.origin}/integrity/${file.file}/provenance` : null,
      })),
    });
  }

  function htmlPage(project: string, files: readonly BuiltDistribution[]): string {
    const links = files.map((file) => {
      const attributes = [`href="${urlOf(project, file)}#sha256=${file.sha256}"`];
      if (file.source.requiresPython !== undefined) {
        attributes.push(`data-requires-python="${file.source.requiresPython.replaceAll('>', '&gt;')}"`);
      }
      if (file.source.yanked !== undefined) attributes.push(`data-yanked="${file.source.yanked}"`);
      if (hasMetadata(file)) attributes.push(`data-core-metadata="sha256=${file.metadataSha256}"`);
      return `<a ${attributes.join(' ')}>${file.file}</a><br>`;
    });
    return `<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0"></head><body>\n${links.join('\n')}\n</body></html>\n`;
  }

  const close = once(async () => {
    await server.close();
    await fileServer.close();
  });
  return {
    origin: server.origin,
    indexUrl: `${server.origin}/simple/`,
    filesOrigin: fileServer.origin,
    requests: server.requests,
    fileRequests: fileServer.requests,
    trouble,
    filePath: (project, file) => `/packages/${normalProjectName(project)}/${encodeURIComponent(file)}`,
    publish,
    setStatus: (project, status, reason) => void statuses.set(normalProjectName(project), { status, reason }),
    files: (project) => projects.get(normalProjectName(project)) ?? [],
    close,
    [Symbol.asyncDispose]: close,
  };
}
