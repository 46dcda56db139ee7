// Compiles Rego with the real OPA, so that engine tests run what the hub would publish. Each source is built once per process.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const OPA_VERSION = '1.22.2';

/** WEIR_OPA, else PATH, else the cache that `npm start` fills. */
export function opaPath(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const places = [
    process.env['WEIR_OPA'],
    ...(process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'opa')),
    join(cache, 'weir', 'tools', `opa-${OPA_VERSION}`, 'opa'),
  ];
  const found = places.find((place) => place !== undefined && place !== '' && existsSync(place));
  if (found === undefined) throw new Error(`no opa: set WEIR_OPA or run the set-up once (wanted: OPA ${OPA_VERSION})`);
  return found;
}

export interface BuildOptions {
  /** Slash path of the entry point. */
  readonly entrypoint: string;
  /** Rego by file name. */
  readonly sources: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

const built = new Map<string, Uint8Array>();

/** The `policy.wasm` of these sources. Throws with OPA's own words when they do not compile. */
export function buildPolicy(options: BuildOptions): Uint8Array {
  const key = JSON.stringify(options);
  const known = built.get(key);
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), 'weir-rego-'));
  try {
    for (const [name, text] of Object.entries(options.sources)) {
      mkdirSync(dirname(join(folder, 'src', name)), { recursive: true });
      writeFileSync(join(folder, 'src', name), text);
    }
    const module = buildFolder(join(folder, 'src'), options.entrypoint, options.flags);
    built.set(key, module);
    return module;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The `policy.wasm` of the Rego under these paths. */
export function buildFolder(
  paths: string | readonly string[],
  entrypoint: string,
  flags: readonly string[] = [],
): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'weir-opa-'));
  try {
    const archive = join(folder, 'bundle.tar.gz');
    const sources = typeof paths === 'string' ? [paths] : paths;
    execFileSync(opaPath(), ['build', '-t', 'wasm', '-e', entrypoint, '-o', archive, ...flags, ...sources], {
      stdio: 'pipe',
    });
    execFileSync('tar', ['-xzf', archive, '-C', folder, '/policy.wasm'], { stdio: 'pipe' });
    return readFileSync(join(folder, 'policy.wasm'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
