// The first start of a home: upstreams, units, policy, and an enrolled spoke for each unit. What does not depend on one
// another runs at the same time. Safe to repeat after an interruption at any point.

import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { npmRegistry, pipIndex } from '../../../spoke/io/client-settings.ts';
import type { FederationOptions } from './federation.ts';
import { CommandFailed, weirJson, WEIR } from './processes.ts';
import { together } from './together.ts';
import { TRIAL_UNITS, type TrialUnit } from './units.ts';

const POLICIES = join(dirname(WEIR), 'policies');

export interface SetUpParts extends FederationOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly spokeHome: (unit: string) => string;
  readonly startHub: (signal: AbortSignal) => Promise<void>;
}

interface Upstreams {
  readonly npm: string;
  readonly pypi: string;
}

export function isSetUp(home: string): boolean {
  return existsSync(markOf(home));
}

/** Leaves the hub running. */
export async function setUp(parts: SetUpParts): Promise<void> {
  const { home, signal, progress } = parts;
  const scratch = join(home, 'setup');
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  // Asked for while the hub starts: a machine that names no registry is told so before anything is made.
  const [upstreams] = await together(signal, (all) => [
    findUpstreams(parts, all),
    parts.startHub(all).then(() => undefined),
  ]);
  if (upstreams === undefined) throw new Error('upstreams were not looked for');

  progress('publishing the policy floor (gates, compile, sign), creating the units, enrolling their spokes');
  await together(signal, (all) => {
    const run = commands(parts, all);
    return [publishFloor(parts, run), ...TRIAL_UNITS.map((unit) => admit(parts, unit, { scratch, upstreams, run }))];
  });
  progress('publishing the overlays of the units');
  await together(signal, (all) => {
    const run = commands(parts, all);
    return TRIAL_UNITS.map(({ name, overlay }) =>
      run('overlay', 'publish', name, join(dirname(WEIR), overlay), '--note', 'first overlay'),
    );
  });
  rmSync(scratch, { recursive: true, force: true });
  writeFileSync(markOf(home), '');
}

function markOf(home: string): string {
  return join(home, 'ready');
}

type Run = (...args: readonly string[]) => Promise<unknown>;

function commands({ env }: SetUpParts, signal: AbortSignal): Run {
  return (...args) => weirJson(args, env, signal);
}

/** What the operator names, else what this machine's own clients use. */
async function findUpstreams({ npmUpstream, pypiUpstream, env }: SetUpParts, signal: AbortSignal): Promise<Upstreams> {
  const [npm = '', pypi = ''] = await together(signal, (all) => [
    npmUpstream === '' ? npmRegistry(all) : Promise.resolve(npmUpstream),
    pypiUpstream === '' ? pipIndex(env, all) : Promise.resolve(pypiUpstream),
  ]);
  return { npm, pypi };
}

/** The floor's checkout brings the sample datasets along; others are published before it. */
async function publishFloor({ intel }: SetUpParts, run: Run): Promise<void> {
  if (intel !== undefined) await run('intel', 'publish', intel);
  await run('floor', 'publish', POLICIES, '--note', 'first floor');
}

/** The unit, and its spoke with an identity and a configuration. */
async function admit(
  { settings, spokeHome, ports }: SetUpParts,
  unit: TrialUnit,
  { scratch, upstreams, run }: { readonly scratch: string; readonly upstreams: Upstreams; readonly run: Run },
): Promise<void> {
  const settingsFile = join(scratch, `${unit.name}.json`);
  writeFileSync(settingsFile, JSON.stringify({ ...unit.settings, ...settings }));
  await unlessThere(run('unit', 'create', unit.name, '--settings', settingsFile));

  const home = spokeHome(unit.name);
  // Written last by `weir spoke init`.
  if (existsSync(join(home, 'spoke.json'))) return;
  const tokenFile = join(scratch, `${unit.spoke}.token`);
  // An earlier try got as far as its token and was cut short: whatever identity it left may be replaced.
  const again = existsSync(tokenFile) ? ['--replace'] : [];
  const invitation = (await run('spoke', 'invite', '--unit', unit.name, '--name', unit.spoke, ...again)) as {
    join_token: string;
    ca_pin: string;
  };
  writeFileSync(tokenFile, invitation.join_token, { mode: 0o600 });
  const port = ports.spokes[unit.name];
  const identity = ['--home', home, '--name', unit.spoke, ...again];
  const hub = ['--hub', `127.0.0.1:${ports.join}`, '--ca-pin', invitation.ca_pin, '--token-file', tokenFile];
  const listening = ['--port', String(port), '--admin-port', String(port + 1)];
  const behind = ['--npm-upstream', upstreams.npm, '--pypi-upstream', upstreams.pypi];
  await run('spoke', 'init', ...identity, ...hub, ...listening, ...behind);
}

async function unlessThere(command: Promise<unknown>): Promise<void> {
  try {
    await command;
  } catch (thrown) {
    if (!(thrown instanceof CommandFailed) || thrown.code !== 'conflict') throw thrown;
  }
}
