// Suites that take long, the longest first, as last measured: they are started before all others. Order is all this decides.

export const LONGEST: readonly string[] = ['test/workers/workers.test.ts'];
