// The spoke's configuration: one JSON file written by `weir spoke init`, checked whole at start. Secrets are never in it;
// they stand in their own files and are named by path.

import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { UNIT_NAME } from '@weir/shared/domain/unit.ts';

const port = z.int().min(0).max(65_535);
const address = z.strictObject({ host: z.string().min(1).max(253), port });
const mib = (count: number): number => count * 2 ** 20;

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
  limits: z
    .strictObject({
      spool_segment_bytes: z.int().min(mib(1)).max(mib(1024)).default(mib(64)),
      spool_bytes: z.int().min(mib(4)).default(mib(1024)),
      cache_bytes: z.int().min(mib(16)).default(mib(10_240)),
      hot_bytes: z.int().min(0).default(mib(256)),
      connections: z.int().min(1).default(4096),
      /** Until upstream begins to answer, and between two pieces of its answer. */
      upstream_timeout_ms: z.int().min(100).default(30_000),
      metadata_fresh_s: z.int().min(0).default(300),
      metadata_stale_s: z.int().min(0).default(86_400),
    })
    .prefault({}),
});

export type SpokeConfig = z.infer<typeof spokeConfigSchema>;

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
