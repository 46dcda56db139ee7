// The hub side of the audit path as a process that a test can kill: the real machine server over mutual TLS, the real store.

import { createIngest } from '@weir/hub/audit/ingest.ts';
import { openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { createMachineServer } from '@weir/hub/io/machine-server.ts';
import { forMachines } from '@weir/hub/rpc/service.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { auditService } from '@weir/hub/rpc/audit-service.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { AuditService } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { quiet } from '../hub/database.ts';
import { uncounted } from './doubles.ts';

export interface HubProcessInput {
  readonly databaseUrl: string;
  readonly port: number;
  readonly ca: { readonly key: string; readonly chain: string };
}

let text = '';
for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk as string;
const input = JSON.parse(text) as HubProcessInput;

const authority = await openAuthority('trial', input.ca, systemRandom);
const store = createAuditStore(createPool({ url: input.databaseUrl, logger: quiet }));
const ingest = createIngest({ store, clock: systemClock, logger: quiet, metrics: uncounted });
const server = createMachineServer({
  authority,
  tls: await authority.issueHub(['localhost', '127.0.0.1'], { fromMs: Date.now(), ttlMs: 3_600_000 }),
  services: [forMachines(AuditService, auditService(ingest))],
  graceMs: 0,
  isDenied: () => false,
  logger: quiet,
  metrics: uncounted,
});
const { port } = await server.listenFederation('127.0.0.1', input.port);
process.stdout.write(`port ${port}\n`);
