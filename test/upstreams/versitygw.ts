// A real S3 server with versions and object lock, on loopback, over a folder of its own.

import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { S3mini } from 's3mini';
import { goToolOrSkip, type GoTool } from '../tools/go-tool.ts';

export const VERSITYGW: GoTool = {
  name: 'versitygw',
  module: join(import.meta.dirname, 'tools', 'versitygw'),
  build: 'github.com/versity/versitygw/cmd/versitygw',
};
const START_LIMIT_MS = 20_000;
const REGION = 'us-east-1';

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Makes a bucket and returns a client for it. */
  bucket(name: string, options: { readonly lock: boolean }): Promise<S3mini>;
}

/** Undefined, with the reason printed, on a machine that has neither the server nor Go. */
export async function startS3Server(t: TestContext, folder: string): Promise<S3Server | undefined> {
  const program = await goToolOrSkip(t, VERSITYGW);
  if (program === undefined) return undefined;
  const [data, versions, sidecar] = ['data', 'versions', 'sidecar'].map((name) => join(folder, name));
  for (const path of [data, versions, sidecar]) await mkdir(path as string, { recursive: true });
  const port = await freePort();
  const credentials = { accessKeyId: 'weir-test', secretAccessKey: 'weir-test-secret' };
  const child = spawn(
    program,
    [
      '--port',
      `127.0.0.1:${port}`,
      '--region',
      REGION,
      '--quiet',
      '--keep-alive',
      'posix',
      '--versioning-dir',
      versions as string,
      '--sidecar',
      sidecar as string,
      data as string,
    ],
    {
      env: { PATH: '', ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-4096);
    });
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const endpoint = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + START_LIMIT_MS;
  while (!(await answers(endpoint))) {
    if (Date.now() > deadline || child.exitCode !== null) {
      child.kill('SIGKILL');
      throw new Error(`versitygw did not start: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    endpoint,
    region: REGION,
    credentials,
    async bucket(name, { lock }) {
      const client = new S3mini({ ...credentials, endpoint: `${endpoint}/${name}`, region: REGION });
      const headers = lock ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {};
      // The client's own way to make a bucket cannot ask for object lock.
      await client.putObject('', '', 'application/xml', undefined, headers);
      return client;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    await fetch(endpoint);
    return true;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
