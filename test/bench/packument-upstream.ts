// The upstream of the packument benchmark, in a process of its own: documents made beforehand, sent as they are.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DOCUMENTS, nameOf, packumentText } from './packument-plan.ts';

const documents = new Map<string, Buffer>();
const server = createServer((request, response) => {
  const document = documents.get((request.url ?? '').slice(1));
  if (document === undefined) response.writeHead(404).end('{}');
  else response.writeHead(200, { 'content-type': 'application/json', 'content-length': document.length }).end(document);
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < DOCUMENTS; i += 1) {
    documents.set(nameOf(i), Buffer.from(packumentText(nameOf(i), `http://127.0.0.1:${port}`)));
  }
  process.send?.(port);
});
process.on('disconnect', () => process.exit(0));
