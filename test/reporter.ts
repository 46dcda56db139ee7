// How a test run reads: a line for each file as it ends, every failure in full, and last one plain line of counts.

import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

// The runner loads a reporter by its default export.
// oxlint-disable-next-line import/no-default-export
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  const skips: string[] = [];
  for await (const event of source) {
    if (event.type === 'test:summary' && event.data.file !== undefined) {
      const { counts, duration_ms: ms, file, success } = event.data;
      yield `${success ? '✓' : '✗'} ${relative(process.cwd(), file)}  ${counts.tests} tests, ${(ms / 1000).toFixed(1)} s\n`;
    }
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    if (event.data.details.type === 'suite') continue;
    if (event.data.skip !== undefined && event.data.skip !== false) {
      total.skipped += 1;
      skips.push(`skipped: ${event.data.name} (${String(event.data.skip)})`);
    } else if (event.type === 'test:pass') {
      total.passed += 1;
    } else {
      total.failed += 1;
      failures.push(
        `FAILED ${event.data.name}\n  at ${event.data.file ?? ''}:${event.data.line ?? 0}\n${explain(event.data.details.error)}`,
      );
    }
  }
  const lines = [...skips, ...failures, `${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`];
  yield `\n${lines.join('\n')}\n`;
}

function explain(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error;
  return (cause.stack ?? cause.message)
    .split('\n')
    .slice(0, 60)
    .map((line) => `  ${line}`)
    .join('\n');
}
