// The spoke's configuration: one JSON file written by `weir spoke init`, checked whole at start. Secrets are never in it;
// they stand in their own files and are named by path.

import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { UNIT_NAME } from '@weir/shared/domain/unit.ts';

const port = z.int().min(0).max(65_535);
const address = z.strictObject({ host: z.string().min(1).max(253), port });
const mib = (count: number): number => count * 2 ** 20;

export const WORKERS_MAX = 64;

const upstream = z.strictObject({
  /** Base URL of the registry, as the operator or the client's own configuration has it. */
  url: z.url({ protocol: /^https?$/ }),
  /** Further hosts that its artifacts may be fetched from. */
  artifact_hosts: z.array(z.string().max(253)).max(50).default([]),
  /** File holding a bearer token or `user:password` for the registry; never sent to any other host. */
  credentials_file: z.string().max(4096).default(''),
});

export const spokeConfigSchema = z.strictObject({
  schema: z.literal('weir.spoke/v1'),
  name: z.string().regex(UNIT_NAME),
  site: z.string().max(63).default('default'),
  /** Registry port: what npm and pip are pointed at. */
  listen: address.default({ host: '127.0.0.1', port: 4873 }),
  /** Admin port: health, metrics, status, `why`; loopback only. */
  admin: address.default({ host: '127.0.0.1', port: 4874 }),
  /** URL that clients see when it differs from the Host header, e.g. behind a load balancer; '' = from the request. */
  public_url: z.string().max(2048).default(''),
  /** Console page that explains a code, with `{code}`; '' when there is none. */
  request_url: z.string().max(2048).default(''),
  tls: z.strictObject({ certificate_file: z.string(), key_file: z.string() }).nullable().default(null),
  /** host:port of the hub's federation port, one per replica. */
  hub: z.array(z.string().max(300)).min(1).max(16),
  upstreams: z.strictObject({ npm: upstream.optional(), pypi: upstream.optional() }),
  /** Extra CA certificates for upstream TLS, PEM file. */
  upstream_ca_file: z.string().max(4096).default(''),
  offline: z.boolean().default(false),
  /** Processes that serve requests, each with a log of its own; null: as many as the machine has cores. */
  workers: z.int().min(1).max(WORKERS_MAX).nullable().default(null),
  limits: z
    .strictObject({
      spool_segment_bytes: z.int().min(mib(1)).max(mib(1024)).default(mib(64)),
      spool_bytes: z.int().min(mib(4)).default(mib(1024)),
      cache_bytes: z.int().min(mib(16)).default(mib(10_240)),
      hot_bytes: z.int().min(0).default(mib(256)),
      connections: z.int().min(1).default(4096),
      /** Until upstream begins to answer, and between two pieces of its answer. */
      upstream_timeout_ms: z.int().min(100).default(30_000),
      /** Longest pause between two attempts to bring rows to a hub that does not answer. */
      hub_retry_max_ms: z.int().min(250).max(600_000).default(30_000),
      metadata_fresh_s: z.int().min(0).default(300),
      metadata_stale_s: z.int().min(0).default(86_400),
    })
    .prefault({}),
});

export type SpokeConfig = z.infer<typeof spokeConfigSchema>;

/**
 * How many workers the spoke has: the environment's word, else the configuration's, else one per core.
 * @param text value of WEIR_WORKERS
 * @throws WeirError `invalid_argument`
 */
export function workersOf({ workers }: Pick<SpokeConfig, 'workers'>, text: string | undefined, cores: number): number {
  if (text === undefined || text === '') return workers ?? Math.min(Math.max(1, cores), WORKERS_MAX);
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= WORKERS_MAX) return count;
  throw new WeirError('invalid_argument', `WEIR_WORKERS is ${JSON.stringify(text.slice(0, 40))}`, {
    next: `set it to a number from 1 to ${WORKERS_MAX}, or leave it out for one worker per core`,
  });
}

/**
 * Parses the configuration text.
 * @throws WeirError `invalid_argument` naming every fault found
 */
export function readSpokeConfig(text: string): SpokeConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WeirError('invalid_argument', 'the spoke configuration is not JSON', {
      cause,
      next: 'run `weir spoke init` again or restore the file',
    });
  }
  const parsed = spokeConfigSchema.safeParse(value);
  if (parsed.success) return Object.freeze(parsed.data);
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
  throw new WeirError(
    'invalid_argument',
    `the spoke configuration has ${faults.length} fault(s): ${faults.join('; ')}`,
    {
      next: 'correct the file; `weir spoke run --help` names every key',
    },
  );
}
