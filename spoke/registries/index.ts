// The registries that a spoke speaks, one line each. The first that knows a root-level path takes it.

import type { Adapter } from './adapter.ts';
import { npm } from './npm/index.ts';
import { pypi } from './pypi/index.ts';

export const adapters: readonly Adapter[] = [npm, pypi];
