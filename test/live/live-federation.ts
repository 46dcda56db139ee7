// The ground of the live suites: one federation whose upstreams are the ones that this machine's own npm and pip use, and
// a tap before its spoke. A few small packages that hardly change, and two of them called malicious for the occasion.

import { npmRegistry, pipIndex } from '@weir/spoke/io/client-settings.ts';
import { type LocalFederation, startLocalFederation, until } from '../federation/local-federation.ts';
import { startTap, type Tap } from '../upstreams/tap.ts';

export const UNIT = 'live';

/** Harmless, all of them; `refused` is what the test's own record names. */
export const LIVE = {
  npm: {
    allowed: { name: 'is-odd', version: '3.0.1', brings: { name: 'is-number', version: '6.0.0' } },
    scoped: { name: '@sindresorhus/is', version: '4.6.0' },
    refused: { name: 'escape-string-regexp', version: '5.0.0' },
    /** Published nearly every day, small, without dependencies. */
    restless: 'electron-to-chromium',
  },
  pypi: {
    allowed: { name: 'python-dateutil', version: '2.9.0.post0', brings: 'six' },
    refused: { name: 'itsdangerous', version: '2.2.0' },
    restless: 'boto3',
  },
} as const;

export interface LiveFederation extends AsyncDisposable {
  readonly federation: LocalFederation;
  readonly told: Tap['passed'];
  readonly npm: string;
  readonly simple: string;
  /** Host names that no client may be sent to. */
  readonly upstreamHosts: readonly string[];
  row(code: string): Promise<Readonly<Record<string, unknown>>>;
  /** Versions that the views of a package left out so far. */
  hidden(purl: string): Promise<readonly string[]>;
}

export async function startLiveFederation(): Promise<LiveFederation> {
  const [npm, pypi] = await Promise.all([npmRegistry(), pipIndex(process.env)]);
  await using starting = new AsyncDisposableStack();
  const federation = starting.use(
    await startLocalFederation({
      units: [{ name: UNIT }],
      npmUpstream: npm,
      pypiUpstream: pypi,
      spokeEnv: process.env,
      malicious: (['npm', 'pypi'] as const).map((ecosystem) => ({
        ecosystem,
        name: LIVE[ecosystem].refused.name,
        versions: [LIVE[ecosystem].refused.version],
      })),
    }),
  );
  const tap = starting.use(await startTap(() => federation.origin(UNIT)));
  const running = starting.move();
  return {
    federation,
    told: tap.passed,
    npm: `${tap.origin}/npm`,
    simple: `${tap.origin}/pypi/simple/`,
    upstreamHosts: [npm, pypi].map((address) => new URL(address).host),
    async row(code) {
      let found: Readonly<Record<string, unknown>> | undefined;
      await until(async () => {
        found = (await federation.rows(UNIT)).find((row) => row['code'] === code);
        return found !== undefined;
      }, `the hub has a row with code ${code}`);
      return found ?? {};
    },
    async hidden(purl) {
      const rows = await federation.rows(UNIT);
      return rows
        .filter((row) => (row['subject'] as { purl: string }).purl === purl)
        .flatMap((row) => row['hidden'] as readonly string[]);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
