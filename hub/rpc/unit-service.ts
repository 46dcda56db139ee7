// UnitService: units and their signed settings.

import type { UnitService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { BundleFeed } from '../fleet/bundle-feed.ts';
import type { BundleStore } from '../store/bundle-store.ts';
import type { Units } from '../unit/units.ts';
import { encodeUnit } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export function unitService(parts: {
  readonly units: Units;
  readonly bundles: BundleStore;
  readonly feed: BundleFeed;
}): OperatorHandlers<typeof UnitService> {
  const { units, bundles, feed } = parts;
  return {
    async createUnit({ name, settings }, { operator }) {
      const unit = await units.create(name, settings, operator.name);
      return { unit: encodeUnit(unit, (await bundles.currentBundle(name)) ?? null) };
    },
    async listUnits() {
      const all = await units.list();
      return { units: await Promise.all(all.map(async (unit) => encodeUnit(unit, await feed.newest(unit.name)))) };
    },
    async updateSettings({ unit: name, settings }, { operator }) {
      const unit = await units.updateSettings(name, settings, operator.name);
      return { unit: encodeUnit(unit, (await bundles.currentBundle(name)) ?? null) };
    },
  };
}
