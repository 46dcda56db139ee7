// nginx with one file in its document root, as the limit of what serving bytes can cost. One process, so that it has one
// core as its rivals do.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stop } from './bench-spoke.ts';

export interface Nginx {
  readonly origin: string;
  readonly pid: number;
  close(): Promise<void>;
}

const START_LIMIT_MS = 5_000;

/** @param files path to content, e.g. `npm/a/-/a-1.0.0.tgz` */
export async function startNginx(files: Readonly<Record<string, Buffer>>): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-nginx-'));
  const port = await freePort();
  for (const [path, content] of Object.entries(files)) {
    const target = join(folder, 'root', path);
    await mkdir(join(target, '..'), { recursive: true });
    await writeFile(target, content);
  }
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit;
     events { worker_connections 1024; }
     http {
       access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; default_type application/octet-stream;
       open_file_cache max=1000 inactive=60s; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
       fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
       server { listen 127.0.0.1:${port}; root ${folder}/root; }
     }`,
  );
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const origin = `http://127.0.0.1:${port}`;
  const deadline = performance.now() + START_LIMIT_MS;
  while (!(await answers(origin))) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error(`nginx did not start: ${complaint}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    origin,
    pid: child.pid ?? 0,
    close: async () => {
      await stop(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answers(origin: string): Promise<boolean> {
  try {
    await (await fetch(origin)).arrayBuffer();
    return true;
  } catch {
    // Not listening yet; the caller has a deadline.
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
