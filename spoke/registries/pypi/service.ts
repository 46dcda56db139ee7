// Answers to requests that name no package: the index root and the redirects to normal spellings.

import type { ClientReply, Route, ServiceAnswer } from '../adapter.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { CONTENT_TYPES } from './accept.ts';

export function answerService(route: Extract<Route, { kind: 'service' }>): ServiceAnswer {
  switch (route.service) {
    case 'redirect':
      return { kind: 'reply', reply: redirect(route.detail) };
    case 'index_root':
      return { kind: 'reply', reply: indexRoot(route.detail) };
    default:
      throw new WeirError('unsupported', 'this index has no such service');
  }
}

function redirect(location: string): ClientReply {
  return {
    status: 301,
    reasonPhrase: 'Moved Permanently',
    headers: [
      ['location', location],
      ['cache-control', 'max-age=600'],
    ],
    body: Buffer.alloc(0),
  };
}

/**
 * A valid page that lists nothing: installers never read it, whole-index listings are for mirrors, and naming every
 * project here would bypass no rule but help nobody. The page says so.
 */
function indexRoot(representation: string): ClientReply {
  const json = representation === 'json';
  const body = json
    ? JSON.stringify({ meta: { 'api-version': '1.0', _note: NOTE }, projects: [] })
    : `<!DOCTYPE html>\n<html>\n<head>\n<meta name="pypi:repository-version" content="1.0">\n<title>Simple index</title>\n</head>\n<body>\n<p>${NOTE}</p>\n</body>\n</html>\n`;
  const type = json ? CONTENT_TYPES.json : representation === 'html-v1' ? CONTENT_TYPES['html-v1'] : CONTENT_TYPES.html;
  return {
    status: 200,
    reasonPhrase: 'OK',
    headers: [
      ['content-type', type],
      ['cache-control', 'max-age=600'],
      ['vary', 'accept'],
    ],
    body: Buffer.from(body),
  };
}

const NOTE = 'Projects are not listed here; ask for the page of one project by its name.';
