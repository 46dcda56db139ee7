// The hub side of the audit path as a process that a test can kill: the real machine server over mutual TLS, the real store.

import { createPrivateKey } from 'node:crypto';
import { createIngest } from '@weir/hub/audit/ingest.ts';
import { createOwnLeaves } from '@weir/hub/audit/own-leaves.ts';
import { pastRoot } from '@weir/hub/audit/past-root.ts';
import { openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { createMachineServer } from '@weir/hub/io/machine-server.ts';
import { forMachines } from '@weir/hub/rpc/service.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { auditService } from '@weir/hub/rpc/audit-service.ts';
import { createAlarmStore } from '@weir/hub/store/postgres/alarm-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { createTileStore } from '@weir/hub/store/postgres/tile-store.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { AuditService } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner } from '@weir/shared/audit/tlog/note.ts';
import { quiet } from '../hub/database.ts';
import { uncounted } from './doubles.ts';

export interface HubProcessInput {
  readonly databaseUrl: string;
  readonly port: number;
  readonly ca: { readonly key: string; readonly chain: string };
  /** PEM of the Ed25519 key that signs receipts. */
  readonly receiptKey: string;
  /** Enrolled audit keys by `unit/spoke`, in hex. */
  readonly enrolled: Readonly<Record<string, string>>;
}

let text = '';
for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk as string;
const input = JSON.parse(text) as HubProcessInput;

const authority = await openAuthority('trial', input.ca, systemRandom);
const pool = createPool({ url: input.databaseUrl, logger: quiet });
const store = createAuditStore(pool);
const ingest = createIngest({
  store,
  alarms: createAlarmStore(pool),
  workspace: 'trial',
  async enrolledKey({ unit, spoke }) {
    const key = input.enrolled[`${unit}/${spoke}`];
    return key === undefined ? undefined : Buffer.from(key, 'hex');
  },
  receiptKey: createNoteSigner(receiptKeyName('trial'), createPrivateKey(input.receiptKey), COSIGNATURE_V1),
  rootAt: (log, size) => pastRoot({ store, tiles: createTileStore(pool) }, log, size),
  clock: systemClock,
  logger: quiet,
  metrics: uncounted,
});
const server = createMachineServer({
  authority,
  tls: await authority.issueHub(['localhost', '127.0.0.1'], { fromMs: Date.now(), ttlMs: 3_600_000 }),
  services: [forMachines(AuditService, auditService(ingest, createOwnLeaves(store)))],
  graceMs: 0,
  isDenied: () => false,
  logger: quiet,
  metrics: uncounted,
});
const { port } = await server.listenFederation('127.0.0.1', input.port);
process.stdout.write(`port ${port}\n`);
