// One federation on one machine: hub with its database, and one spoke for each unit. Used by `npm start` and by the tour;
// the parts are the ordinary `weir` commands, so the trial shows nothing that an operator could not type.

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endDatabase } from './leftovers.ts';
import { ProcessEnded, ready, start, stopAll, weirJson, type Running } from './processes.ts';
import { isSetUp, setUp } from './set-up.ts';
import { together } from './together.ts';
import { TRIAL_UNITS, type TrialUnit } from './units.ts';

const HUB_READY_MS = 60_000;
const SPOKE_READY_MS = 30_000;
/** Everything must be gone ten seconds after Ctrl-C: this long for the processes, the rest for a database left alone. */
const STOP_MS = 7_500;
/** A process whose end explains a failure may be noticed this much later than the failure. */
const NOTICE_MS = 300;

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
  /** Aborted while the start is under way, it ends the start: everything is stopped and the promise rejects with its reason. */
  readonly signal?: AbortSignal;
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
  /** Stops every process, the database too when its hub no longer can. */
  stop(): Promise<void>;
}

/** Starts everything; on the first start of a home it also sets everything up. */
export async function startFederation(options: FederationOptions): Promise<Federation> {
  const { home, ports, progress } = options;
  const env: NodeJS.ProcessEnv = {
    // Compiled code is kept, which halves the start of every command; in the home, where nobody else can plant any.
    NODE_COMPILE_CACHE: join(home, 'compile-cache'),
    // Two spokes, a hub and a database share this machine with whatever is tried out on them.
    WEIR_WORKERS: '1',
    ...process.env,
    WEIR_HOME: home,
    WEIR_HUB: `http://127.0.0.1:${ports.admin}`,
  };
  const running = new Map<string, Running>();
  const spokeHome = (unit: string): string => join(home, `spoke-${unit}`);

  async function startHub(signal?: AbortSignal): Promise<void> {
    const listening = (['admin', 'federation', 'join'] as const).flatMap((name) => [
      `--${name}-port`,
      String(ports[name]),
    ]);
    const hub = start('hub', ['hub', 'run', '--home', join(home, 'hub'), ...listening], home, env);
    running.set('hub', hub);
    await ready(hub, () => answers(`http://127.0.0.1:${ports.admin}/readyz`), HUB_READY_MS, signal);
  }

  async function startSpoke(unit: TrialUnit['name'], signal?: AbortSignal): Promise<void> {
    const spoke = start(`spoke-${unit}`, ['spoke', 'run', '--home', spokeHome(unit)], home, env);
    running.set(unit, spoke);
    await ready(spoke, () => answers(`http://127.0.0.1:${ports.spokes[unit] + 1}/readyz`), SPOKE_READY_MS, signal);
  }

  async function stop(): Promise<void> {
    // Spokes first: they hand their last rows to a hub that still listens.
    const spokes = [...running].filter(([name]) => name !== 'hub').map(([, spoke]) => spoke);
    const hub = running.get('hub');
    await stopAll([spokes, hub === undefined ? [] : [hub]], STOP_MS);
    await endDatabase(home);
  }

  /** A process that died is the cause of whatever failed after it. */
  async function causeOf(thrown: unknown): Promise<unknown> {
    if (options.signal?.aborted === true || thrown instanceof ProcessEnded) return thrown;
    await delay(NOTICE_MS);
    const dead = [...running.values()].find((part) => !part.alive());
    return dead === undefined ? thrown : new ProcessEnded(dead, 'during the start');
  }

  try {
    progress('starting the hub and its database');
    if (isSetUp(home)) await startHub(options.signal);
    else await setUp({ ...options, env, spokeHome, startHub });
    progress(`starting the spokes of ${TRIAL_UNITS.map(({ name }) => name).join(' and ')}`);
    await together(options.signal, (all) => TRIAL_UNITS.map(({ name }) => startSpoke(name, all)));
  } catch (thrown) {
    const cause = await causeOf(thrown);
    await stop();
    throw cause;
  }
  return {
    options,
    env,
    hub: () => present(running, 'hub'),
    spoke: (unit) => present(running, unit),
    registryUrl: (unit) => `http://127.0.0.1:${ports.spokes[unit]}`,
    spokeHome,
    weir: (...args) => weirJson(args, env),
    startHub: () => startHub(),
    startSpoke: (unit) => startSpoke(unit),
    stop,
  };
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
