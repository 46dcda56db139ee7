// The ground of the client suites: one federation with local upstreams, a tap before each spoke, and the sample catalogue
// with a record, a popular name, a denied licence and an internal name for the rules to speak about.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalFederation, startLocalFederation, type UnitPlan, until } from '../../federation/local-federation.ts';
import type { Workspace } from '../../upstreams/clients.ts';
import { startNpmIndex } from '../../upstreams/npm-index.ts';
import { type PypiIndex, startPypiIndex } from '../../upstreams/pypi-index.ts';
import {
  DENIED_LICENCE,
  MALICIOUS_VERSION,
  SAMPLES,
  sampleNpmPackages,
  samplePythonReleases,
} from '../../upstreams/sample-packages.ts';
import { startTap, type Tap, textOf } from '../../upstreams/tap.ts';
import { startVerdaccio } from '../../upstreams/verdaccio.ts';

/** What both units of the trial say about the sample catalogue. */
export const SAMPLE_SETTINGS = {
  internal_names: { npm: ['weir-internal-*'], pypi: ['weir-internal-*'] },
  policy: { licences_denied: [DENIED_LICENCE] },
} as const;

export const UNITS = {
  /** Block mode, an overlay that refuses code at install time. */
  payments: { name: 'payments', settings: SAMPLE_SETTINGS, overlay: 'policies/overlay/payments' },
  /** Warn mode. */
  research: { name: 'research', settings: { ...SAMPLE_SETTINGS, mode: 'warn' }, overlay: 'policies/overlay/research' },
  /** Block mode, nobody without a token. */
  vault: { name: 'vault', settings: { ...SAMPLE_SETTINGS, anonymous: false } },
  /** Block mode, its Python index an old one that speaks only HTML and knows no publish times; one package need not wait. */
  archive: {
    name: 'archive',
    settings: {
      ...SAMPLE_SETTINGS,
      policy: { ...SAMPLE_SETTINGS.policy, cooldown_exempt: { npm: [], pypi: [SAMPLES.plain] } },
    },
  },
} as const satisfies Readonly<Record<string, UnitPlan>>;
export type UnitName = keyof typeof UNITS;

/** The internal name with a version that the upstream would gladly serve. */
export const INTERNAL = SAMPLES.internal;

export interface ClientFederation extends AsyncDisposable {
  readonly federation: LocalFederation;
  readonly pypi: PypiIndex;
  /** Base URL of a unit's npm registry, without a trailing '/'. */
  npm(unit: UnitName): string;
  /** What pip is pointed at: `…/pypi/simple/`. */
  simple(unit: UnitName): string;
  /** What clients of the unit were told so far, in order. */
  told(unit: UnitName): Tap['passed'];
  /** Paths that the npm upstream and the Python index were asked for. */
  asked(): readonly string[];
  /** What the hub holds of a unit once it has everything, oldest first. */
  rows(unit: UnitName): Promise<readonly Row[]>;
  /** The hub's row behind a printed code. */
  row(unit: UnitName, code: string): Promise<Row>;
  /** A token of the unit that its spoke already knows. */
  token(unit: UnitName): Promise<{ readonly id: string; readonly secret: string }>;
  revoke(unit: UnitName, id: string): Promise<void>;
  /** Fails when any client was told an upstream's address. */
  assertUpstreamUnseen(): void;
  /** Fails when a file that a client left behind names an upstream; returns how many files name the spoke. */
  assertUpstreamNotKept(workspace: Workspace): Promise<number>;
}

export interface Row {
  readonly level: string;
  readonly mode: string;
  readonly enforced: boolean;
  readonly outcome: string;
  readonly action: string;
  readonly code: string;
  readonly status: number;
  readonly hidden: readonly string[];
  readonly subject: { readonly purl: string; readonly digest: string };
  readonly request: { readonly client: string; readonly route: string; readonly method: string };
  readonly rules: readonly { readonly rule: string; readonly layer: string; readonly effective: string }[];
}

export interface ClientFederationOptions {
  readonly units: readonly UnitName[];
  /** Verdaccio instead of the loopback registry: slower to start, and it can search. */
  readonly verdaccio?: boolean;
}

export async function startClientFederation(options: ClientFederationOptions): Promise<ClientFederation> {
  await using starting = new AsyncDisposableStack();
  const now = new Date();
  const packages = sampleNpmPackages(now);
  const registry =
    options.verdaccio === true
      ? starting.use(await startVerdaccio({ packages }))
      : starting.use(await startNpmIndex({ packages, compress: true }));
  if ('publishNpm' in registry) {
    // Its search knows only what was published through its door.
    await registry.publishNpm({
      name: SAMPLES.scoped,
      version: '1.0.2',
      publishedAt: '2023-05-03T09:00:00.000Z',
      license: 'MIT',
    });
  }
  const upstream = starting.use(await startTap(() => registry.origin));
  const releases = samplePythonReleases(now);
  const pypi = starting.use(await startPypiIndex({ releases, separateFiles: true }));
  const old = options.units.includes('archive')
    ? starting.use(await startPypiIndex({ releases, htmlOnly: true, withoutMetadata: true }))
    : undefined;
  const federation = starting.use(
    await startLocalFederation({
      units: options.units.map((name) =>
        name === 'archive' && old !== undefined ? { ...UNITS[name], pypiUpstream: old.indexUrl } : UNITS[name],
      ),
      npmUpstream: upstream.origin,
      pypiUpstream: pypi.indexUrl,
      malicious: (['npm', 'pypi'] as const).map((ecosystem) => ({
        ecosystem,
        name: SAMPLES.malware,
        versions: [MALICIOUS_VERSION],
      })),
      popular: { npm: [SAMPLES.plain], pypi: [SAMPLES.plain] },
    }),
  );
  const taps = new Map<UnitName, Tap>();
  for (const unit of options.units) taps.set(unit, starting.use(await startTap(() => federation.origin(unit))));
  const tap = (unit: UnitName): Tap => {
    const found = taps.get(unit);
    if (found === undefined) throw new Error(`no spoke of ${unit} was started`);
    return found;
  };
  const upstreams = [
    registry.origin,
    upstream.origin,
    pypi.origin,
    pypi.filesOrigin,
    ...(old === undefined ? [] : [old.origin]),
  ];
  const hidden = upstreams.map((origin) => origin.replace('http://', ''));
  const names = (text: string): string | undefined => hidden.find((host) => text.includes(host));
  const running = starting.move();
  return {
    federation,
    pypi,
    npm: (unit) => `${tap(unit).origin}/npm`,
    simple: (unit) => `${tap(unit).origin}/pypi/simple/`,
    told: (unit) => tap(unit).passed,
    asked: () => [
      ...upstream.passed.map(({ url }) => url),
      ...pypi.requests.map(({ url }) => url),
      ...pypi.fileRequests.map(({ url }) => url),
      ...(old?.requests ?? []).map(({ url }) => url),
    ],
    rows: (unit) => rowsOf(federation, unit),
    async row(unit, code) {
      const rows = await rowsOf(federation, unit);
      const found = rows.filter((row) => row.code === code);
      assert.equal(found.length, 1, `the hub has one row with code ${code}`);
      return found[0] as Row;
    },
    async token(unit) {
      const before = activeBundle(federation, unit);
      const { token, secret } = await federation.console.tokens.createToken({
        unit,
        principal: 'ci',
        groups: [],
        ttlS: 0n,
      });
      await nextBundle(federation, unit, before);
      return { id: token?.id ?? '', secret };
    },
    async revoke(unit, id) {
      const before = activeBundle(federation, unit);
      await federation.console.tokens.revokeToken({ id });
      await nextBundle(federation, unit, before);
    },
    assertUpstreamUnseen() {
      let seen = 0;
      for (const [unit, { passed }] of taps) {
        for (const exchange of passed) {
          seen += 1;
          const host = names(textOf(exchange));
          assert.equal(host, undefined, `${unit} told a client of ${host ?? ''}: ${exchange.method} ${exchange.url}`);
        }
      }
      assert.ok(seen > 0, 'nobody asked anything');
    },
    async assertUpstreamNotKept(workspace) {
      let spokes = 0;
      const own = [...taps.values()].map(({ origin }) => origin.replace('http://', ''));
      for (const entry of await readdir(workspace.folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        const text = await readFile(path, 'latin1');
        assert.equal(names(text), undefined, `${path} names an upstream`);
        if (own.some((host) => text.includes(host))) spokes += 1;
      }
      return spokes;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function rowsOf(federation: LocalFederation, unit: UnitName): Promise<readonly Row[]> {
  return (await federation.rows(unit)) as readonly unknown[] as readonly Row[];
}

function activeBundle(federation: LocalFederation, unit: string): string {
  return federation.spoke(unit).activeBundle() ?? '';
}

async function nextBundle(federation: LocalFederation, unit: string, before: string): Promise<void> {
  await until(() => activeBundle(federation, unit) !== before, `${unit} activates the next bundle`);
}

/** Eight characters of Crockford's base 32 after the word that announces them, as clients print them. */
export function codeIn(output: string): string {
  const code = /\bcode ([0-9A-HJKMNP-TV-Z]{8})\b/.exec(words(output))?.[1];
  assert.ok(code !== undefined, `no request code was printed:\n${output}`);
  return code;
}

/** Some clients wrap long lines and draw frames around them; what matters is the words. */
export function words(text: string): string {
  return text.replaceAll(/[\s│╰─▶├×·┌└]+/gu, ' ');
}
