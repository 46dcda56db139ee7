// Asks before something that cannot be taken back: on a terminal in words, elsewhere only with --yes.

import { createInterface } from 'node:readline/promises';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** Resolves when the answer is yes. @throws WeirError `cancelled` when it is not, `invalid_argument` when nobody can be asked */
export async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new WeirError('invalid_argument', `${question} Nobody can be asked here.`, {
      next: 'run it on a terminal, or with --yes',
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    terminal.close();
  }
  throw new WeirError('cancelled', 'nothing was done');
}
