// A port on loopback that nobody has any business with: it only counts who comes.

import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Canary {
  readonly origin: string;
  /** Connections opened so far. */
  connections(): number;
  close(): Promise<void>;
}

export async function createConnectionCanary(): Promise<Canary> {
  let count = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    count += 1;
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    connections: () => count,
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
