// Ends a run with every failure in full and one plain line: `N passed, N failed, N skipped`.

import type { TestEvent } from 'node:test/reporters';

// The runner loads a reporter by its default export.
// oxlint-disable-next-line import/no-default-export
export default async function* summary(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  const failures: string[] = [];
  const skips: string[] = [];
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    if (event.data.details.type === 'suite') continue;
    const where = `${event.data.file ?? ''}:${event.data.line ?? 0}`;
    if (event.data.skip !== undefined && event.data.skip !== false) {
      skipped += 1;
      skips.push(`skipped: ${event.data.name} (${String(event.data.skip)})`);
    } else if (event.type === 'test:pass') {
      passed += 1;
    } else {
      failed += 1;
      failures.push(`FAILED ${event.data.name}\n  at ${where}\n${explain(event.data.details.error)}`);
    }
  }
  yield `\n${[...skips, ...failures].join('\n')}\n${passed} passed, ${failed} failed, ${skipped} skipped\n`;
}

function explain(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error;
  return (cause.stack ?? cause.message)
    .split('\n')
    .slice(0, 30)
    .map((line) => `  ${line}`)
    .join('\n');
}
