// The settings of a unit that says nothing: block, tokens required, a week of cooldown, staleness that tightens slowly.

import type { Settings } from '@weir/shared/bundle/layers.ts';

const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;

export function defaultSettings(unit: string): Settings {
  return {
    schema: 'weir.settings/v1',
    unit,
    mode: 'block',
    anonymous: false,
    environment: '',
    labels: {},
    on_overlay_error: 'deny',
    staleness: { warn_s: DAY_S, restrict_s: 7 * DAY_S, deny_s: 30 * DAY_S },
    internal_names: { npm: [], pypi: [] },
    policy: {
      cooldown_hours: 168,
      cooldown_exempt: { npm: [], pypi: [] },
      new_package_days: 30,
      install_scripts_allowed: { npm: [], pypi: [] },
      licences_denied: [],
      overlay: {},
    },
  };
}
