// Go's checksum-database packages and transparency.dev's as judges of our logs: a small program of ours around them, asked
// line by line.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { GoTool } from '../../tools/go-tool.ts';

export const TLOG_CHECK: GoTool = {
  name: 'tlog-check',
  module: join(import.meta.dirname, 'tools', 'tlog-check'),
  build: '.',
  ours: true,
};

export interface Question {
  readonly kind: 'note' | 'cosigned' | 'proof' | 'leaf' | 'inclusion' | 'consistency' | 'path';
  readonly [field: string]: unknown;
}

export interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly text?: string;
  readonly unknown?: number;
  readonly time?: number;
  readonly value?: string;
}

const LIMIT_MS = 120_000;

/** Answers to all questions, in order. */
export function askGo(program: string, questions: readonly Question[]): Promise<readonly Answer[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'], timeout: LIMIT_MS });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (status) => {
      const answers = output
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Answer);
      if (status === 0 && answers.length === questions.length) resolve(answers);
      else reject(new Error(`tlog-check ended with ${status} after ${answers.length} of ${questions.length} answers`));
    });
    child.stdin.on('error', () => undefined); // its end is told by its status
    child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(''));
  });
}
