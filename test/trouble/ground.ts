// Where the suites of trouble take place: one local federation before local registries that can misbehave, and the means
// to look at what a client got, what upstream saw and what was written down.

import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { CURRENT_FILE } from '@weir/spoke/audit/epochs.ts';
import { viewLog } from '@weir/spoke/audit/view-log.ts';
import { openBundleStore } from '@weir/spoke/io/bundle-store.ts';
import { viewLedgerDisk } from '@weir/spoke/io/ledger-disk.ts';
import { loose, manifestIn, type LooseBundle } from '../bundle/forge.ts';
import {
  startLocalFederation,
  until,
  type LocalFederation,
  type LocalFederationOptions,
} from '../federation/local-federation.ts';
import { startNpmIndex, type NpmIndex } from '../upstreams/npm-index.ts';
import { startPypiIndex, type PypiIndex } from '../upstreams/pypi-index.ts';
import { sampleNpmPackages, samplePythonReleases } from '../upstreams/sample-packages.ts';

/** A row as the hub gives it back; only what the suites look at. */
export interface Row {
  readonly [member: string]: unknown;
  readonly log: string;
  readonly index: number;
  readonly outcome: string;
  readonly level: string;
  readonly status: number;
  readonly code: string;
  readonly action: string;
  readonly mode: string;
  readonly enforced: boolean;
  readonly bundle: string;
  readonly id: string;
  readonly request: { readonly route: string; readonly method: string; readonly target: string };
  readonly subject: { readonly purl: string; readonly digest: string };
  readonly actor: { readonly id: string; readonly kind: string };
  readonly rules: readonly {
    readonly rule: string;
    readonly code: string;
    readonly layer: string;
    readonly facts: Readonly<Record<string, unknown>>;
  }[];
}

export interface Ground extends AsyncDisposable {
  readonly federation: LocalFederation;
  readonly npm: NpmIndex;
  readonly pypi: PypiIndex;
  /** Requests that reached any upstream so far. */
  upstreamRequests(): number;
  /** What the work left in the unit's log at the hub, oldest first. */
  rowsOf(unit: string, work: () => Promise<unknown>): Promise<readonly Row[]>;
  /** Number of one metric line of the unit's spoke, summed over its labels. */
  metric(unit: string, name: string): Promise<number>;
}

export async function prepareGround(
  options: Omit<LocalFederationOptions, 'npmUpstream' | 'pypiUpstream'>,
): Promise<Ground> {
  const cleanup = new AsyncDisposableStack();
  try {
    const now = new Date();
    const npm = cleanup.use(await startNpmIndex({ packages: sampleNpmPackages(now) }));
    const pypi = cleanup.use(await startPypiIndex({ releases: samplePythonReleases(now) }));
    const federation = cleanup.use(
      await startLocalFederation({ ...options, npmUpstream: npm.origin, pypiUpstream: pypi.indexUrl }),
    );
    for (const { name } of options.units) {
      // The first activation is written down a moment after it counts.
      const isTold = async (): Promise<boolean> =>
        (await federation.rows(name)).some(({ outcome }) => outcome === 'bundle_activated');
      await until(isTold, `the log of ${name} tells of its first bundle`);
    }
    const rows = async (unit: string): Promise<readonly Row[]> => (await federation.rows(unit)) as unknown as Row[];
    return {
      federation,
      npm,
      pypi,
      upstreamRequests: () => npm.requests.length + pypi.requests.length,
      async rowsOf(unit, work) {
        const before = await nextIndex(federation, unit);
        await work();
        return (await rows(unit)).filter(({ index }) => index >= before);
      },
      metric: (unit, name) => readMetric(federation.spoke(unit).adminPort, name),
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (thrown) {
    await cleanup.disposeAsync();
    throw thrown;
  }
}

export async function statusOf(federation: LocalFederation, unit: string): Promise<SpokeStatus> {
  const response = await fetch(`http://127.0.0.1:${federation.spoke(unit).adminPort}/status`);
  return (await response.json()) as SpokeStatus;
}

export interface SpokeStatus {
  readonly ready: boolean;
  readonly bundle: { readonly digest: string; readonly epoch: number; readonly version: number } | null;
  readonly nack: { readonly code: string; readonly detail: string } | null;
  readonly log: {
    readonly log: string;
    readonly nextIndex: number;
    readonly acknowledged: number;
    readonly healthy: boolean;
    readonly upload: { readonly state: string; readonly trouble: string };
  };
}

async function nextIndex(federation: LocalFederation, unit: string): Promise<number> {
  return (await statusOf(federation, unit)).log.nextIndex;
}

export async function readMetric(adminPort: number, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const lines = (await response.text()).split('\n').filter((line) => new RegExp(`^${name}(?:\\{| )`).test(line));
  if (lines.length === 0) throw new Error(`the spoke has no metric ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Rows as they lie in the open log of a unit's spoke, running or not, oldest first. */
export async function spooledRows(federation: LocalFederation, unit: string): Promise<readonly Row[]> {
  const ledger = viewLedgerDisk(join(federation.spokeHome(unit), 'audit', 'w0'));
  const current = (await ledger.load(CURRENT_FILE))?.toString('utf8').trim() ?? '';
  const view = await viewLog(await ledger.epoch(current));
  const { rows } = await view.read(view.firstIndex, 100_000, 64 << 20);
  return rows.map((bytes) => JSON.parse(bytes.toString()) as Row);
}

/** The bundle that a unit's spoke runs, as it keeps it on disk. */
export async function bundleOnDisk(
  federation: LocalFederation,
  unit: string,
  pointer: 'current' | 'previous' = 'current',
): Promise<LooseBundle> {
  const disk = await openBundleStore(join(federation.spokeHome(unit), 'bundles'));
  const digest = await disk.readPointer(pointer);
  const envelope = digest === undefined ? undefined : await disk.readEnvelope(digest);
  if (digest === undefined || envelope === undefined) throw new Error(`the spoke of ${unit} has no ${pointer} bundle`);
  const layers = new Map<Digest, Uint8Array>();
  for (const { digest: layer } of manifestIn(envelope).layers) {
    const bytes = await disk.readLayer(layer);
    if (bytes !== undefined) layers.set(layer, bytes);
  }
  return loose({ digest, envelope }, layers);
}

/** What came back over a raw connection. */
export interface RawAnswer {
  /** 0 when the connection ended without an answer. */
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** True when the body has as many bytes as were announced. */
  readonly complete: boolean;
}

const RAW_TIMEOUT_MS = 15_000;

/** Sends bytes as they are and reads until the other side closes (the request should ask for that). */
export function exchangeRaw(
  origin: string,
  bytes: string | Buffer,
  onBytes: () => void = () => undefined,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setTimeout(RAW_TIMEOUT_MS, () => socket.destroy(new Error('the spoke gave no answer')));
    socket.on('data', (chunk: Buffer) => {
      onBytes();
      chunks.push(chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A reset is how an answer breaks off; what came before it counts.
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return;
      reject(error);
    });
    socket.on('close', () => resolve(readAnswer(Buffer.concat(chunks))));
  });
}

/** Opens connections that ask nothing, and keeps them. */
export async function holdConnections(origin: string, count: number): Promise<{ close(): void }> {
  const { hostname, port } = new URL(origin);
  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(socket));
      socket.on('error', reject);
    });
  const sockets = await Promise.all(Array.from({ length: count }, open));
  return {
    close: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** GET of a target that no client library would send unchanged. */
export function getRaw(origin: string, target: string, headers: readonly string[] = []): Promise<RawAnswer> {
  const lines = [`GET ${target} HTTP/1.1`, `Host: ${new URL(origin).host}`, 'Connection: close', ...headers, '', ''];
  return exchangeRaw(origin, lines.join('\r\n'));
}

function readAnswer(bytes: Buffer): RawAnswer {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return { status: 0, reason: '', headers: {}, body: Buffer.alloc(0), complete: false };
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const body = bytes.subarray(end + 4);
  const announced = headers['content-length'];
  return {
    status: Number(first.split(' ', 2)[1]),
    reason: first.split(' ').slice(2).join(' '),
    headers,
    body,
    complete: announced === undefined ? headers['transfer-encoding'] === undefined : Number(announced) === body.length,
  };
}

/** The refusal in a JSON body. */
export interface Told {
  readonly title: string;
  readonly detail: string;
  readonly weir: { readonly code: string; readonly rules: readonly string[] };
}

export function told(body: Buffer | string): Told {
  return JSON.parse(body.toString()) as Told;
}
