// What the tour's steps stand on: printing, running real clients and `weir`, and remembering which decisions were seen.

import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { clientEnvironment } from '../upstreams/clients.ts';
import type { Federation } from '../../deploy/onprem/trial/federation.ts';
import { WEIR } from '../../deploy/onprem/trial/processes.ts';

const ROOT = dirname(WEIR);

export interface Ran {
  readonly code: number;
  readonly output: string;
}

export interface Stage {
  readonly federation: Federation;
  readonly scratch: string;
  /** Where the clients' upstreams are; packages of the tour by the part they play. */
  readonly cast: Cast;
  say(text: string): void;
  /** Runs npm in a project folder of its own, through a unit's spoke. */
  npm(unit: Unit, project: string, ...args: string[]): Promise<Ran>;
  /** Runs pip into a folder of its own, through a unit's spoke. */
  pip(unit: Unit, target: string, ...args: string[]): Promise<Ran>;
  /** Runs `npx weir …` and shows it. */
  weir(...args: string[]): Promise<Ran>;
  project(name: string): string;
  /** Request codes that clients printed, to be found in the ledger at the end. */
  readonly codes: Set<string>;
  /** Row ids that came with served artifacts. */
  readonly rows: Set<string>;
}

export type Unit = 'payments' | 'research';

export interface Cast {
  readonly plain: string;
  readonly pipPlain: string;
  /** `name@version` that the tour's own intel record calls malicious. */
  readonly malware: { readonly name: string; readonly version: string };
  readonly pipMalware: { readonly name: string; readonly version: string };
  /** A package whose newest version is inside the cooldown; '' when none was found. */
  readonly fresh: string;
  /** A package with an install script. */
  readonly scripted: string;
}

/** A step that did not hold; its message is what was expected and what came instead. */
export class StepFailed extends Error {}

export function expect(held: boolean, what: string, context = ''): void {
  if (!held) throw new StepFailed(`expected ${what}${context === '' ? '' : `\n${context}`}`);
}

/** The request code in what a client printed. */
export function codeIn(output: string): string {
  const code = /code ([0-9A-HJKMNP-TV-Z]{8})\b/i.exec(output)?.[1];
  if (code === undefined) throw new StepFailed(`expected a request code in the client's output\n${output}`);
  return code;
}

export function createStage(federation: Federation, scratch: string, cast: Cast, print: (text: string) => void): Stage {
  const codes = new Set<string>();
  const rows = new Set<string>();
  const home = join(scratch, 'home');
  mkdirSync(home, { recursive: true });

  /** Paths as a reader would type them. */
  const shortened = (arg: string): string =>
    arg.startsWith(`${scratch}/`)
      ? arg.slice(scratch.length + 1)
      : arg.startsWith(`${ROOT}/`)
        ? arg.slice(ROOT.length + 1)
        : arg;

  async function show(
    shown: string,
    command: string,
    args: readonly string[],
    cwd: string,
    env: NodeJS.ProcessEnv,
  ): Promise<Ran> {
    print(`  $ ${shown}\n`);
    const ran = await run(command, args, cwd, env);
    const lines = ran.output
      .trim()
      .split('\n')
      .filter((line) => line.trim() !== '');
    const kept =
      lines.length <= 24 ? lines : [...lines.slice(0, 16), `… ${lines.length - 22} more lines`, ...lines.slice(-6)];
    for (const line of kept) print(`    ${line.length > 240 ? `${line.slice(0, 237)}...` : line}\n`);
    return ran;
  }

  return {
    federation,
    scratch,
    cast,
    codes,
    rows,
    say: (text) => print(`  ${text}\n`),
    project(name) {
      const folder = join(scratch, name);
      mkdirSync(folder, { recursive: true });
      return folder;
    },
    npm(unit, project, ...args) {
      const folder = join(scratch, project);
      mkdirSync(folder, { recursive: true });
      const registry = `${federation.registryUrl(unit)}/npm/`;
      const env = {
        ...clientEnvironment(home),
        npm_config_registry: registry,
        npm_config_cache: join(folder, '.npm'),
        npm_config_fund: 'false',
        npm_config_audit: 'false',
        npm_config_update_notifier: 'false',
      };
      return show(`npm ${args.join(' ')}   # ${unit}`, 'npm', args, folder, env);
    },
    pip(unit, target, ...args) {
      const folder = join(scratch, target);
      mkdirSync(folder, { recursive: true });
      const index = `${federation.registryUrl(unit)}/pypi/simple/`;
      const own = [
        '--disable-pip-version-check',
        '--no-cache-dir',
        '--root-user-action=ignore',
        '--index-url',
        index,
        '--target',
        join(folder, 'site'),
      ];
      const [verb = 'install', ...rest] = args;
      return show(
        `pip ${args.join(' ')}   # ${unit}`,
        'python3',
        ['-m', 'pip', verb, ...own, ...rest],
        folder,
        clientEnvironment(home),
      );
    },
    weir: (...args) =>
      show(`npx weir ${args.map(shortened).join(' ')}`, process.execPath, [WEIR, ...args], scratch, federation.env),
  };
}

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-200_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}
