// One federation on one machine: hub with its database, and one spoke for each unit. Used by `npm start` and by the tour;
// the parts are the ordinary `weir` commands, so the trial shows nothing that an operator could not type.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ready, start, stopAll, weirJson, WEIR, type Running } from './processes.ts';
import { TRIAL_UNITS, type TrialUnit } from './units.ts';

const ROOT = dirname(WEIR);
const HUB_READY_MS = 60_000;
const SPOKE_READY_MS = 30_000;
/** Everything must be gone this long after Ctrl-C. */
const STOP_MS = 9_000;

export interface FederationPorts {
  readonly admin: number;
  readonly federation: number;
  readonly join: number;
  /** Registry port by unit; the next one is the spoke's admin port. */
  readonly spokes: Readonly<Record<TrialUnit['name'], number>>;
}

export interface FederationOptions {
  readonly home: string;
  readonly ports: FederationPorts;
  /** '' = discovered from this machine's clients. */
  readonly npmUpstream: string;
  readonly pypiUpstream: string;
  /** Datasets to publish at first; the shipped samples when absent. */
  readonly intel?: string;
  /** Further members of every unit's settings, merged over the unit's own. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Says what is being done, one line each. */
  readonly progress: (line: string) => void;
}

export interface Federation {
  readonly options: FederationOptions;
  /** Environment in which `weir …` finds this federation. */
  readonly env: NodeJS.ProcessEnv;
  hub(): Running;
  spoke(unit: TrialUnit['name']): Running;
  registryUrl(unit: TrialUnit['name']): string;
  spokeHome(unit: TrialUnit['name']): string;
  weir(...args: string[]): Promise<unknown>;
  startHub(): Promise<void>;
  startSpoke(unit: TrialUnit['name']): Promise<void>;
  stop(): Promise<void>;
}

/** Starts everything; on the first start of a home it also sets everything up. */
export async function startFederation(options: FederationOptions): Promise<Federation> {
  const { home, ports, progress } = options;
  const logs = join(home, 'logs');
  const env: NodeJS.ProcessEnv = { ...process.env, WEIR_HOME: home, WEIR_HUB: `http://127.0.0.1:${ports.admin}` };
  const running = new Map<string, Running>();

  const spokeHome = (unit: string): string => join(home, `spoke-${unit}`);

  async function startHub(): Promise<void> {
    const hub = start(
      'hub',
      [
        'hub',
        'run',
        '--home',
        join(home, 'hub'),
        '--admin-port',
        String(ports.admin),
        '--federation-port',
        String(ports.federation),
        '--join-port',
        String(ports.join),
      ],
      logs,
      env,
    );
    running.set('hub', hub);
    await ready(hub, () => answers(`http://127.0.0.1:${ports.admin}/readyz`), HUB_READY_MS);
  }

  async function startSpoke(unit: TrialUnit['name']): Promise<void> {
    const spoke = start(`spoke-${unit}`, ['spoke', 'run', '--home', spokeHome(unit)], logs, env);
    running.set(unit, spoke);
    await ready(spoke, () => answers(`http://127.0.0.1:${ports.spokes[unit] + 1}/readyz`), SPOKE_READY_MS);
  }

  const weir = (...args: string[]): Promise<unknown> => weirJson(args, env);
  const federation: Federation = {
    options,
    env,
    hub: () => present(running, 'hub'),
    spoke: (unit) => present(running, unit),
    registryUrl: (unit) => `http://127.0.0.1:${ports.spokes[unit]}`,
    spokeHome,
    weir,
    startHub,
    startSpoke,
    async stop() {
      // Spokes first: they hand their last rows to a hub that still listens.
      await stopAll(
        [...TRIAL_UNITS.map(({ name }) => running.get(name)), running.get('hub')].filter((part) => part !== undefined),
        STOP_MS,
      );
    },
  };

  try {
    progress('starting the hub and its database');
    await startHub();
    if (!existsSync(join(home, 'ready'))) await setUp(federation, options);
    for (const { name } of TRIAL_UNITS) {
      progress(`starting the spoke of ${name}`);
      await startSpoke(name);
    }
  } catch (thrown) {
    await federation.stop();
    throw thrown;
  }
  return federation;
}

/** First start: units, policy, and an invitation for each spoke. Safe to repeat after an interruption. */
async function setUp(federation: Federation, options: FederationOptions): Promise<void> {
  const { home, ports, progress } = options;
  const scratch = join(home, 'setup');
  mkdirSync(scratch, { recursive: true });
  const known = new Set(names(await federation.weir('unit', 'list')));
  for (const unit of TRIAL_UNITS) {
    if (known.has(unit.name)) continue;
    progress(`creating unit ${unit.name}`);
    const file = join(scratch, `${unit.name}.json`);
    writeFileSync(file, JSON.stringify({ ...unit.settings, ...options.settings }));
    await federation.weir('unit', 'create', unit.name, '--settings', file);
  }
  progress('publishing the sample datasets');
  await federation.weir('intel', 'publish', options.intel ?? join(ROOT, 'policies', 'intel', 'intel.json'));
  progress('publishing the policy floor (gates, compile, sign)');
  await federation.weir('floor', 'publish', join(ROOT, 'policies'), '--note', 'first floor');
  for (const unit of TRIAL_UNITS) {
    progress(`publishing the overlay of ${unit.name}`);
    await federation.weir('overlay', 'publish', unit.name, join(ROOT, unit.overlay), '--note', 'first overlay');
  }
  for (const unit of TRIAL_UNITS) {
    if (existsSync(join(federation.spokeHome(unit.name), 'identity', 'identity.json'))) continue;
    progress(`enrolling the spoke of ${unit.name}`);
    const invitation = (await federation.weir('spoke', 'invite', '--unit', unit.name, '--name', unit.spoke)) as {
      join_token: string;
      ca_pin: string;
    };
    const tokenFile = join(scratch, `${unit.spoke}.token`);
    writeFileSync(tokenFile, invitation.join_token, { mode: 0o600 });
    const port = ports.spokes[unit.name];
    await federation.weir(
      ...['spoke', 'init', '--home', federation.spokeHome(unit.name), '--name', unit.spoke],
      ...['--hub', `127.0.0.1:${ports.join}`, '--ca-pin', invitation.ca_pin, '--token-file', tokenFile],
      ...['--port', String(port), '--admin-port', String(port + 1)],
      ...(options.npmUpstream === '' ? [] : ['--npm-upstream', options.npmUpstream]),
      ...(options.pypiUpstream === '' ? [] : ['--pypi-upstream', options.pypiUpstream]),
    );
  }
  writeFileSync(join(home, 'ready'), '');
}

function names(answer: unknown): readonly string[] {
  const { units } = answer as { units?: readonly { name: string }[] };
  return (units ?? []).map(({ name }) => name);
}

function present(running: ReadonlyMap<string, Running>, name: string): Running {
  const found = running.get(name);
  if (found === undefined) throw new Error(`${name} was never started`);
  return found;
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  await response.arrayBuffer();
  return response.ok;
}
