// Tessera's fsck, a program that derives a log in the tlog-tiles layout again from its rows.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { GoTool } from '../../tools/go-tool.ts';

export const TESSERA_FSCK: GoTool = {
  name: 'tessera-fsck',
  module: join(import.meta.dirname, 'tools', 'fsck'),
  build: 'github.com/transparency-dev/tessera/cmd/fsck',
};
const LIMIT_MS = 120_000;
/** More than the log has tiles: with fewer, the tool waits for ever for a worker that a wrong tile has ended. */
const WORKERS = 320;

/** What it prints; its status is 0 whatever it finds. */
export function runTesseraFsck(program: string, log: string, vkey: string): Promise<string> {
  const args = ['-ui=false', '-v=1', '-logtostderr', `-N=${WORKERS}`, `-public_key=${vkey}`];
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args, `-storage_url=${pathToFileURL(log).href}/`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (status) => (status === 0 ? resolve(output) : reject(new Error(`ended with ${status}`))));
  });
}
