// The list of benchmarks and the shape of what each reports. One file per benchmark, named after it; all contenders run in
// one process tree, in alternating rounds, on the same machine at the same time.

export interface BenchOptions {
  /** Prints a line for people; with `--json` these go to stderr. */
  readonly print: (line: string) => void;
  /** `--name=value` arguments, such as `rows` or `against`; each bench says which it knows. */
  readonly flags: Readonly<Record<string, string>>;
}

/** Figures by name with their unit, e.g. `p50_us`, `requests_per_s`; errors are counted, not hidden. */
export type Figures = Readonly<Record<string, number>>;

export interface BenchResult {
  readonly bench: string;
  /** Unit of the headline figure. */
  readonly unit: string;
  readonly weir: Figures;
  readonly peers: Readonly<Record<string, Figures>>;
  /** By peer; over 1 means that Weir is better. */
  readonly ratios: Figures;
  /** What is aimed at: ratios by peer, or figures by name. */
  readonly aims: Figures;
  /** Whether every aim is met in this run. */
  readonly held: boolean;
}

export type Bench = (options: BenchOptions) => Promise<BenchResult>;

/** By name; loaded only when asked for. */
export const BENCHES: Readonly<Record<string, () => Promise<{ readonly run: Bench }>>> = {
  'audit-append': () => import('./audit-append.ts'),
  'audit-fsck': () => import('./audit-fsck.ts'),
  'audit-ingest': () => import('./audit-ingest.ts'),
  'audit-query': () => import('./audit-query.ts'),
  decide: () => import('./decide.ts'),
  'miss-overhead': () => import('./miss-overhead.ts'),
  packument: () => import('./packument.ts'),
  'serve-hit': () => import('./serve-hit.ts'),
};
