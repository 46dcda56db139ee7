// The upstream of the packument benchmark, in a process of its own: documents made beforehand, sent as they are.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { DOCUMENTS, nameOf, packumentText } from './packument-plan.ts';

const documents = new Map<string, { readonly plain: Buffer; readonly gzip: Buffer }>();
const server = createServer((request, response) => {
  const document = documents.get((request.url ?? '').slice(1));
  if (document === undefined) {
    response.writeHead(404).end('{}');
    return;
  }
  const compressed = /\bgzip\b/.test(request.headers['accept-encoding']?.toString() ?? '');
  const body = compressed ? document.gzip : document.plain;
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': body.length,
    ...(compressed ? { 'content-encoding': 'gzip' } : {}),
  });
  response.end(body);
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < DOCUMENTS; i += 1) {
    const plain = Buffer.from(packumentText(nameOf(i), `http://127.0.0.1:${port}`));
    documents.set(nameOf(i), { plain, gzip: gzipSync(plain) });
  }
  process.send?.(port);
});
process.on('disconnect', () => process.exit(0));
