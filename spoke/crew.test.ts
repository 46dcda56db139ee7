import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOGS_REPORTED_MAX, type LogStatus, reportedLogs } from './crew.ts';

const upload = { state: 'waiting', acknowledged: 0, inFlight: 0, trouble: '' } as const;
const logOf = (log: string): LogStatus => ({ log, nextIndex: 1, acknowledged: 0, freeBytes: 0, healthy: true, upload });

test('however many logs owe rows, a report has every open one and is not refused for its length', () => {
  const owing = Array.from({ length: 300 }, (_, n) => logOf(`owing-${n}`));
  const workers = [{ logs: [logOf('open-0'), ...owing] }, { logs: [logOf('open-1')] }, { logs: [] }];
  const reported = reportedLogs(workers, [logOf('former')]).map(({ log }) => log);
  assert.equal(reported.length, LOGS_REPORTED_MAX);
  assert.deepEqual(reported.slice(0, 3), ['open-0', 'open-1', 'owing-0']);
  assert.deepEqual(
    reportedLogs(workers.slice(1), [logOf('former')]).map(({ log }) => log),
    ['open-1', 'former'],
  );
});
