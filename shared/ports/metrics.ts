// Metrics as a port. Every name, help text and label set is declared once in `shared/telemetry/metrics.ts`;
// labels are closed sets, never a package name.

export type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  /** Adds to a counter (default 1). */
  count(name: string, labels?: Labels, by?: number): void;
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Labels): void;
  /** Observes a duration, in seconds. */
  observe(name: string, seconds: number, labels?: Labels): void;
}
