// Which workers have ever kept a log in a spoke's home.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const WORKER = /^w\d{1,3}$/;

/** Their names, in no order. */
export function workersWithLogs(home: string): readonly string[] {
  const folder = join(home, 'audit');
  return existsSync(folder) ? readdirSync(folder).filter((name) => WORKER.test(name)) : [];
}
