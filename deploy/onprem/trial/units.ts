// The two units of the trial: what differs between them is only signed settings and their overlay.

export interface TrialUnit {
  readonly name: 'payments' | 'research';
  readonly spoke: string;
  /** Members of `weir.settings/v1` that differ from the defaults. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Folder of the overlay's sources. */
  readonly overlay: string;
}

export const TRIAL_UNITS: readonly TrialUnit[] = [
  {
    name: 'payments',
    spoke: 'payments-1',
    settings: {
      mode: 'block',
      anonymous: true,
      environment: 'trial',
      internal_names: { npm: ['@payments/*'], pypi: ['payments-*'] },
    },
    overlay: 'policies/overlay/payments',
  },
  {
    name: 'research',
    spoke: 'research-1',
    settings: {
      mode: 'warn',
      anonymous: true,
      environment: 'trial',
      internal_names: { npm: ['@research/*'], pypi: ['research-*'] },
    },
    overlay: 'policies/overlay/research',
  },
];
