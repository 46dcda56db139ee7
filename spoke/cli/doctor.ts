// `weir doctor`: looks for what would keep Weir from working, or would let an install slip past it, and says what to do.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import { createIdentityStore } from '../io/identity-store.ts';
import { npmRegistry, pipIndex } from '../io/client-settings.ts';
import { EXIT, printJson, settle } from './output.ts';
import { askSpoke, knownSpokeHomes, loadSpokeConfig } from './spoke-home.ts';

const run = promisify(execFile);
const SOON_MS = 7 * 86_400_000;

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly detail: string;
}

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check this machine: runtime, compiler, spokes, identities, and clients that would bypass them')
    .option('--home <dir>', 'home of one spoke')
    .option('--json', 'machine-readable output')
    .action((options: { home?: string; json?: boolean }) =>
      settle(options.json === true, async () => {
        const findings = [
          runtime(),
          await compiler(),
          ...(await spokes(options.home)),
          ...(await clients(options.home)),
        ];
        if (options.json === true) printJson({ findings });
        else
          for (const { state, check, detail } of findings)
            process.stdout.write(`${MARKS[state]} ${check}: ${detail}\n`);
        return findings.some(({ state }) => state === 'problem') ? EXIT.failed : EXIT.ok;
      }),
    );
}

const MARKS = { ok: '✓', warning: '!', problem: '✗' } as const;

function runtime(): Finding {
  const [major = 0] = process.versions.node.split('.').map(Number);
  return { check: 'Node', state: major >= 24 ? 'ok' : 'problem', detail: process.versions.node };
}

async function compiler(): Promise<Finding> {
  try {
    const { stdout } = await run(process.env['WEIR_OPA'] ?? 'opa', ['version'], { timeout: 10_000 });
    return { check: 'OPA', state: 'ok', detail: /^Version: (.*)$/m.exec(stdout)?.[1] ?? 'found' };
  } catch {
    return { check: 'OPA', state: 'warning', detail: 'not on PATH; only a hub that publishes policy needs it' };
  }
}

async function spokes(option: string | undefined): Promise<readonly Finding[]> {
  const homes = knownSpokeHomes(option);
  if (homes.length === 0)
    return [{ check: 'spokes', state: 'warning', detail: 'none on this machine; `weir spoke init` enrols one' }];
  return Promise.all(homes.map(spokeFinding));
}

async function spokeFinding(home: string): Promise<Finding> {
  try {
    const config = loadSpokeConfig(home);
    const check = `spoke ${config.name}`;
    const identity = createIdentityStore(home).read();
    const leftMs = identity.not_after_ms - Date.now();
    if (leftMs <= 0)
      return {
        check,
        state: 'problem',
        detail: 'its certificate has expired: it enforces, but cannot reach the hub until it is renewed',
      };
    const status = (await askSpoke(home, '/status')) as {
      ready: boolean;
      staleness: string;
      log: { healthy: boolean };
    };
    if (!status.ready) return { check, state: 'problem', detail: 'it has no verified bundle and refuses everything' };
    if (!status.log.healthy) return { check, state: 'problem', detail: 'its audit spool cannot be written' };
    if (status.staleness !== 'fresh')
      return { check, state: 'warning', detail: `its policy is stale (${status.staleness}): is the hub reachable?` };
    const short =
      leftMs < SOON_MS ? `, certificate renewed within ${Math.max(1, Math.round(leftMs / 3_600_000))} h` : '';
    return { check, state: 'ok', detail: `enforcing${short}` };
  } catch (thrown) {
    return { check: `spoke in ${home}`, state: 'problem', detail: describeThrown(thrown) };
  }
}

/** Clients of this machine that do not ask a spoke. */
async function clients(option: string | undefined): Promise<readonly Finding[]> {
  const addresses = knownSpokeHomes(option).map((home) => {
    const { listen, public_url: publicUrl } = loadSpokeConfig(home);
    return publicUrl === '' ? `:${listen.port}/` : publicUrl;
  });
  if (addresses.length === 0) return [];
  const through = (url: string): boolean => addresses.some((address) => url.includes(address));
  const finding = async (check: string, ask: () => Promise<string>): Promise<Finding> => {
    try {
      const url = await ask();
      return through(url)
        ? { check, state: 'ok', detail: 'asks a spoke' }
        : {
            check,
            state: 'warning',
            detail: "asks its registry directly: point it at a spoke, or close the registry's address at the firewall",
          };
    } catch {
      return { check, state: 'ok', detail: 'not on this machine' };
    }
  };
  const extra = process.env['PIP_EXTRA_INDEX_URL'] ?? '';
  return [
    await finding('npm', npmRegistry),
    await finding('pip', () => pipIndex(process.env)),
    ...(extra === ''
      ? []
      : [
          {
            check: 'pip',
            state: 'warning',
            detail: 'PIP_EXTRA_INDEX_URL names a second index, which pip asks as well',
          } as const,
        ]),
  ];
}
