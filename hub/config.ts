// The hub's configuration: defaults, `<home>/hub.json`, then the environment.

import { z } from 'zod';
import { UNIT_NAME } from '@weir/shared/domain/unit.ts';
import { LOG_LEVELS } from '@weir/shared/telemetry/logger.ts';
import { PUSH_FORMATS } from './audit/push-sink.ts';

const port = z.int().min(0).max(65_535);
const listen = (host: string, number: number) =>
  z.strictObject({ host: z.string().min(1).max(253).default(host), port: port.default(number) }).prefault({});
/** host:port pairs; in the environment one text with commas. */
const addresses = z
  .preprocess(
    (value) => (typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value),
    z.array(z.string().regex(/^(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$/, 'is not host:port')).max(16),
  )
  .default([]);
const path = z.string().min(1).max(4096);
const pathOrNone = z.string().max(4096).default('');

/** What every sink of rows has. */
const sink = {
  /** Names its cursors and metrics; a sink with a new name begins anew. */
  name: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'is not a lower-case name'),
  format: z.enum(PUSH_FORMATS).default('native'),
  /** Where a sink that is new begins: with every row that is stored, or with the first that comes. */
  from: z.enum(['beginning', 'now']).default('beginning'),
  batch_rows: z.int().min(1).max(5_000).default(500),
  timeout_s: z.int().min(1).max(600).default(30),
};
const pushSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('syslog'),
    ...sink,
    host: z.string().min(1).max(253),
    port: z.int().min(1).max(65_535).default(6514),
    /** Null for plain TCP. Empty files: the system's roots, no client certificate; server_name '': the host. */
    tls: z
      .strictObject({
        ca_file: pathOrNone,
        certificate_file: pathOrNone,
        key_file: pathOrNone,
        server_name: z.string().max(253).default(''),
      })
      .nullable()
      .prefault({}),
    facility: z.int().min(0).max(23).default(13),
    /** Private enterprise number of the structured data; the one that is reserved for examples unless you have one. */
    enterprise: z.int().min(1).max(4_294_967_295).default(32_473),
    /** `closed`: rows count as taken once the receiver closed after reading them. `written`: once they are sent. */
    confirm: z.enum(['closed', 'written']).default('closed'),
  }),
  z.strictObject({
    kind: z.literal('http'),
    ...sink,
    url: z
      .url({ protocol: /^https?$/ })
      .max(2048)
      .refine((text) => new URL(text).username === '' && new URL(text).password === '', 'holds credentials'),
    /** File with the bearer token, read anew for each batch. */
    token_file: pathOrNone,
    ca_file: pathOrNone,
    gzip: z.boolean().default(true),
  }),
]);
export type PushSettings = z.output<typeof pushSchema>;

const copySchema = z
  .strictObject({
    /** Between turns: the copy of a log that grows is behind by about as much. */
    every_s: z.int().min(1).max(3600).default(10),
    /** Directory, such as a mounted archive; '' for none. */
    folder: pathOrNone,
    /** Bucket of an S3-compatible service, with object lock. */
    s3: z
      .strictObject({
        /** URL of the service without the bucket. */
        endpoint: z
          .url({ protocol: /^https?$/ })
          .max(2048)
          .refine((text) => new URL(text).username === '' && new URL(text).password === '', 'holds credentials'),
        bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'is not the name of a bucket'),
        region: z.string().min(1).max(64).default('us-east-1'),
        /** Before every key, ending in a slash. */
        prefix: z
          .string()
          .regex(/^(?:[A-Za-z0-9._-]+\/)*$/, 'is not a path that ends in a slash')
          .max(256)
          .default(''),
        /** JSON file with access_key_id and secret_access_key. */
        credentials_file: path,
        /** How long objects are locked. */
        lock_days: z.int().min(1).max(36_500).default(365),
        /** Go on, loudly, where the bucket cannot lock. */
        allow_unlocked: z.boolean().default(false),
      })
      .nullable()
      .default(null),
  })
  .prefault({});
export type CopySettings = z.output<typeof copySchema>;

export const hubConfigSchema = z.strictObject({
  schema: z.literal('weir.hub/v1').default('weir.hub/v1'),
  /** Name of the federation: part of every identity and manifest, never changed afterwards. */
  workspace: z.string().regex(UNIT_NAME).default('weir'),
  database: z
    .strictObject({
      /** File that holds the connection URL; '' for the embedded database. DATABASE_URL takes precedence. */
      url_file: z.string().max(4096).default(''),
    })
    .prefault({}),
  /** Port of the spokes: mutual TLS. */
  federation: listen('127.0.0.1', 7443),
  /** Port where a spoke joins: server TLS. */
  join: listen('127.0.0.1', 7444),
  /** Port of console, CLI and scripts. */
  admin: z
    .strictObject({
      host: z.string().min(1).max(253).default('127.0.0.1'),
      port: port.default(7440),
      /** Needed unless the host is a loopback address. */
      tls: z.strictObject({ certificate_file: path, key_file: path }).nullable().default(null),
    })
    .prefault({}),
  /** host:port pairs that spokes are told; derived from the listeners when empty. */
  advertise: z
    .strictObject({
      federation: addresses,
      join: addresses,
    })
    .prefault({}),
  identity: z
    .strictObject({
      /** Life of a spoke's certificate; it renews at half of it. */
      certificate_ttl_s: z
        .int()
        .min(60)
        .max(14 * 86_400)
        .default(3600),
      /** How long after its expiry a certificate may still be renewed, so that spokes outlive a hub outage. */
      renewal_grace_s: z
        .int()
        .min(0)
        .max(90 * 86_400)
        .default(30 * 86_400),
    })
    .prefault({}),
  audit: z
    .strictObject({
      /** Systems outside that get rows as they come. */
      push: z
        .array(pushSchema)
        .max(16)
        .refine((sinks) => new Set(sinks.map(({ name }) => name)).size === sinks.length, 'two sinks have one name')
        .default([]),
      /** Write-once copies of all logs. */
      copy: copySchema,
      /** Days that rows stay in the database after their month has ended; 0 keeps them for ever. They stay in the copies. */
      retention_days: z.int().min(0).max(36_500).default(0),
      /** Units whose rows stay whatever their age. */
      held_units: z.array(z.string().regex(UNIT_NAME)).max(10_000).default([]),
    })
    .refine(
      ({ retention_days: days, copy }) => days === 0 || copy.folder !== '' || copy.s3 !== null,
      'retention_days removes only what is in a write-once copy: set audit.copy too',
    )
    .prefault({}),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('info') }).prefault({}),
});

export type HubConfig = z.output<typeof hubConfigSchema>;

/** Environment variables and what they set. */
export const HUB_VARIABLES: Readonly<Record<string, string>> = {
  WEIR_WORKSPACE: 'workspace',
  WEIR_HUB_FEDERATION_HOST: 'federation.host',
  WEIR_HUB_FEDERATION_PORT: 'federation.port',
  WEIR_HUB_JOIN_HOST: 'join.host',
  WEIR_HUB_JOIN_PORT: 'join.port',
  WEIR_HUB_ADMIN_HOST: 'admin.host',
  WEIR_HUB_ADMIN_PORT: 'admin.port',
  WEIR_HUB_ADVERTISE_FEDERATION: 'advertise.federation',
  WEIR_HUB_ADVERTISE_JOIN: 'advertise.join',
  WEIR_HUB_CERTIFICATE_TTL_S: 'identity.certificate_ttl_s',
  WEIR_HUB_AUDIT_COPY_FOLDER: 'audit.copy.folder',
  WEIR_HUB_AUDIT_COPY_S3: 'audit.copy.s3',
  WEIR_HUB_AUDIT_RETENTION_DAYS: 'audit.retention_days',
  WEIR_LOG_LEVEL: 'log.level',
};
