// Facts of one well-behaved candidate, which signal tests change one at a time. Used by tests only.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Intel, Settings } from '@weir/shared/bundle/layers.ts';
import type { SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { Release, ReleaseFile, Releases } from '../../registries/adapter.ts';
import { buildIntelIndex } from '../intel-index.ts';
import type { Fact, Signal, SignalFacts } from './signal.ts';

/** Unix seconds at which all tests judge. */
export const AT = 1_800_000_000;
export const HOUR = 3600;
export const DAY = 86_400;

export function known<T>(value: T): Fact<T> {
  return { known: true, value };
}

export function missing(reason: string): Fact<never> {
  return { known: false, reason };
}

export function settingsWith(policy: Partial<Settings['policy']>, internal: Partial<Settings['internal_names']> = {}) {
  const settings: Settings = {
    schema: 'weir.settings/v1',
    unit: 'payments',
    mode: 'block',
    anonymous: false,
    environment: 'test',
    labels: {},
    on_overlay_error: 'deny',
    staleness: { warn_s: 3600, restrict_s: 86_400, deny_s: 604_800 },
    internal_names: { npm: [], pypi: [], ...internal },
    policy: {
      cooldown_hours: 72,
      cooldown_exempt: { npm: [], pypi: [] },
      new_package_days: 30,
      install_scripts_allowed: { npm: [], pypi: [] },
      licences_denied: [],
      overlay: {},
      ...policy,
    },
  };
  return settings;
}

export function release(change: Partial<Release> = {}): Release {
  return {
    version: '1.0.0',
    publishedAt: AT - 400 * DAY,
    files: [file()],
    withdrawn: null,
    licence: 'MIT',
    installScripts: [],
    trustRank: 0,
    ...change,
  };
}

export function file(change: Partial<ReleaseFile> = {}): ReleaseFile {
  return {
    name: 'quiet-river-1.0.0.tgz',
    url: 'https://registry.example.test/quiet-river-1.0.0.tgz',
    digests: { sha512: 'a'.repeat(128), sha1: 'c'.repeat(40) },
    size: 1000,
    metadataSha256: null,
    ...change,
  };
}

export function releases(list: readonly Release[] = [release()], change: Partial<Releases> = {}): Releases {
  return {
    name: { ecosystem: 'npm', namespace: '', name: 'quiet-river' },
    releases: list,
    firstPublishedAt: AT - 400 * DAY,
    tags: { latest: '1.0.0' },
    projectState: '',
    ...change,
  };
}

const provenance = { source: 'made for tests', licence: 'CC0-1.0', as_of: '2026-01-01' };

export function intelWith(change: {
  readonly malicious?: readonly Partial<Intel['malicious']['records'][number]>[];
  readonly npm?: readonly string[];
  readonly pypi?: readonly string[];
  readonly licences?: readonly string[];
}): Intel {
  return {
    schema: 'weir.intel/v1',
    malicious: {
      provenance,
      records: (change.malicious ?? []).map((record) => ({
        id: 'MAL-TEST-1',
        ecosystem: 'npm',
        name: 'quiet-river',
        versions: [],
        ranges: [],
        withdrawn: false,
        summary: '',
        ...record,
      })),
    },
    popular: { provenance, names: { npm: [...(change.npm ?? [])], pypi: [...(change.pypi ?? [])] } },
    licences: {
      provenance,
      ids: [...(change.licences ?? ['MIT', 'Apache-2.0', 'AGPL-3.0-only', 'GPL-3.0-or-later', 'BSD-3-Clause'])],
    },
  };
}

export function facts(change: Partial<SignalFacts> = {}): SignalFacts {
  return {
    name: { ecosystem: 'npm', namespace: '', name: 'quiet-river' },
    version: '1.0.0',
    releases: known(releases()),
    release: known(release()),
    file: known(file()),
    content: known({ sha512: 'a'.repeat(128), sha256: 'b'.repeat(64), sha1: 'c'.repeat(40), size: 1000 }),
    coreMetadata: missing('not_fetched'),
    intel: known(buildIntelIndex(intelWith({}))),
    settings: settingsWith({}),
    ...change,
  };
}

export interface SignalCase {
  /** A promise: "<signal> …". */
  readonly promise: string;
  readonly change: Partial<SignalFacts>;
  readonly want: SignalOutcome;
}

/** One test per row; the whole outcome is compared, and it must fit into the input document. */
export function signalTable(signal: Signal, rows: readonly SignalCase[]): void {
  for (const { promise, change, want } of rows) {
    test(`${signal.name} ${promise}`, () => {
      const outcome = signal.evaluate(facts(change), AT);
      assert.deepEqual(outcome, want);
      assert.ok(JSON.stringify(outcome.value).length <= 512);
    });
  }
}
