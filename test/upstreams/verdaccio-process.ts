// The child process that Verdaccio runs in: takes its configuration as the one message from the parent, listens on an
// ephemeral loopback port and reports it. It lives as long as the channel to its parent does.

import { createRequire } from 'node:module';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const { runServer } = createRequire(import.meta.url)('verdaccio') as {
  readonly runServer: (config: unknown) => Promise<Server>;
};

process.once('message', (config) => void serve(config));
process.once('disconnect', () => process.exit(0));

async function serve(config: unknown): Promise<void> {
  const server = await runServer(config);
  server.once('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
}
