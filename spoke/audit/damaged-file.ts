// What is said of a log's small file that is not what was written.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

export function damagedFile(file: string, what: 'missing_file' | 'damaged_file', cause?: unknown): WeirError {
  const said = what === 'missing_file' ? `is gone` : `is damaged`;
  return new WeirError('corrupt', `the audit log's ${file} ${said}`, {
    detail: { what, file, offset: 0 },
    ...(cause === undefined ? {} : { cause }),
    next: 'keep the folder as evidence, set it aside, and start a new log',
  });
}
