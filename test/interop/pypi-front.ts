// The smallest server that puts the PyPI adapter between a real client and a local index: parse, fetch, view or refuse.
// Decisions are a table of refused versions, so that a test shows what clients make of the adapter's answers alone.

import type { ServerResponse } from 'node:http';
import type { ClientReply, MetadataDocument, Refusal, Releases, Route } from '@weir/spoke/registries/adapter.ts';
import { pypi } from '@weir/spoke/registries/pypi/index.ts';
import { parseTarget } from '@weir/spoke/request/parse-target.ts';
import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import { purl } from '@weir/shared/domain/coordinate.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import { type LocalServer, startLocalServer } from '../upstreams/local-server.ts';
import type { PypiIndex } from '../upstreams/pypi-index.ts';

export interface FrontOptions {
  /** `name@version` whose files are refused; the view still lists them. */
  readonly refused?: readonly string[];
  /** `name@version` left out of views and refused. */
  readonly hidden?: readonly string[];
  /** `name@version` marked with a sentence. */
  readonly flagged?: Readonly<Record<string, string>>;
  /** Status of every refusal of a file; default 403. */
  readonly status?: number;
  /** When set, only this Basic credential is let in. */
  readonly credential?: string;
}

export const FRONT_CODE = '7K3M9Q2X' as RequestCode;
export const FRONT_RULE = 'WEIR-TEST-001';
export const FRONT_DETAIL = 'this version is refused by the test because it was told so';

export async function startPypiFront(index: PypiIndex, options: FrontOptions = {}): Promise<LocalServer> {
  const server: LocalServer = await startLocalServer(async (request, response) => {
    const { route, target } = parseTarget(
      { method: request.method ?? '', url: request.url ?? '', rawHeaders: request.rawHeaders },
      [pypi],
    );
    const client = pypi.clientFamily(target.headers['user-agent'] ?? '');
    const refuse = (status: number, subject: string, title: string): void =>
      send(response, pypi.renderRefusal(refusalOf(status, subject, title), client));
    const expected = options.credential === undefined ? '' : `Basic ${btoa(options.credential)}`;
    if (expected !== '' && target.headers['authorization'] !== expected) {
      return refuse(401, '', 'the token is not known here');
    }
    switch (route.kind) {
      case 'refused':
        return refuse(route.reason === 'unknown_route' ? 404 : 403, '', route.detail.slice(0, 60));
      case 'service': {
        const answer = pypi.answerService(route, {
          target,
          body: Buffer.alloc(0),
          actor: 'anonymous',
          publicBase: `${server.origin}/pypi`,
          isInternal: () => false,
        });
        if (answer.kind !== 'reply') throw new Error('a service that needs more than an answer');
        return send(response, answer.reply);
      }
      case 'metadata':
        return sendView(response, route);
      case 'artifact':
      case 'sidecar':
        return sendFile(response, route, refuse);
    }
  });

  async function sendView(response: ServerResponse, route: Extract<Route, { kind: 'metadata' }>): Promise<void> {
    const read = await readUpstream(route.name);
    if (read === undefined) {
      return send(response, pypi.renderRefusal(refusalOf(404, purl(route.name), 'no such project'), 'other'));
    }
    const prefix = `${route.name.name}@`;
    const versionsIn = (list: readonly string[]): string[] =>
      list.filter((entry) => entry.startsWith(prefix)).map((entry) => entry.slice(prefix.length));
    const view = pypi.renderView(read.document, read.releases, new Set(versionsIn(options.hidden ?? [])), {
      publicBase: `${server.origin}/pypi`,
      representation: route.representation,
      detail: route.detail,
      flagged: new Map(
        versionsIn(Object.keys(options.flagged ?? {})).map((version) => [
          version,
          options.flagged?.[`${prefix}${version}`] ?? '',
        ]),
      ),
    });
    send(response, {
      status: 200,
      reasonPhrase: 'OK',
      headers: [['content-type', view.contentType]],
      body: view.body,
    });
  }

  async function sendFile(
    response: ServerResponse,
    route: Extract<Route, { kind: 'artifact' | 'sidecar' }>,
    refuse: (status: number, subject: string, title: string) => void,
  ): Promise<void> {
    const read = await readUpstream(route.coordinate);
    const found = read === undefined ? undefined : pypi.findFile(read.releases, route);
    if (found === undefined) return refuse(404, purl(route.coordinate), 'no such file');
    const judged = `${route.coordinate.name}@${found.release.version}`;
    if ([...(options.refused ?? []), ...(options.hidden ?? [])].includes(judged)) {
      return refuse(
        options.status ?? 403,
        purl({ ...route.coordinate, version: found.release.version }),
        'refused by test',
      );
    }
    const upstream = await fetch(found.file.url);
    send(response, {
      status: upstream.status,
      reasonPhrase: upstream.statusText,
      headers: [['content-type', pypi.artifactContentType(route.file)]],
      body: Buffer.from(await upstream.arrayBuffer()),
    });
  }

  async function readUpstream(
    name: PackageName,
  ): Promise<{ readonly document: MetadataDocument; readonly releases: Releases } | undefined> {
    const wanted = pypi.metadataRequest(name);
    const reply = await fetch(new URL(wanted.path, index.indexUrl), { headers: { accept: wanted.accept } });
    const bytes = Buffer.from(await reply.arrayBuffer());
    if (reply.status !== 200) return undefined;
    const document = { bytes, contentType: reply.headers.get('content-type') ?? '', baseUrl: reply.url };
    return { document, releases: pypi.readMetadata(document, name) };
  }

  return server;
}

function refusalOf(status: number, subject: string, title: string): Refusal {
  return {
    status,
    title,
    detail: FRONT_DETAIL,
    code: FRONT_CODE,
    purl: subject,
    rules: [FRONT_RULE],
    allowedInstead: '',
    retryAt: null,
    requestUrl: '',
    bundle: '',
  };
}

function send(response: ServerResponse, reply: ClientReply): void {
  response.writeHead(reply.status, reply.reasonPhrase, [
    ...reply.headers.flat(),
    'content-length',
    `${reply.body.length}`,
  ]);
  response.end(reply.body);
}
