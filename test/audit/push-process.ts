// A hub's push job as a process that a test can kill.

import { createPush } from '@weir/hub/audit/push.ts';
import { hubConfigSchema } from '@weir/hub/config.ts';
import { createSink } from '@weir/hub/io/push-sink.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { createPushStore } from '@weir/hub/store/postgres/push-store.ts';
import { quiet } from '../hub/database.ts';
import { uncounted } from './doubles.ts';

const [, , databaseUrl = '', settings = '{}'] = process.argv;
const [sink] = hubConfigSchema.parse({ audit: { push: [JSON.parse(settings)] } }).audit.push;
if (sink === undefined) throw new Error('no sink');
const pool = createPool({ url: databaseUrl, logger: quiet });
const push = createPush(
  {
    rows: createAuditStore(pool),
    cursors: createPushStore(pool),
    sink: createSink(sink),
    clock: systemClock,
    random: systemRandom,
    logger: quiet,
    metrics: uncounted,
  },
  {
    name: sink.name,
    format: sink.format,
    from: sink.from,
    limits: { batchRows: sink.batch_rows, pollMs: 10, backoffMs: 5, backoffMaxMs: 20 },
  },
);
await push.run(new AbortController().signal);
