// Units: made once, their settings replaced as a whole. What changes a unit's bundle publishes the next one.

import { type Settings, settingsSchema } from '@weir/shared/bundle/layers.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import { UNIT_NAME } from '@weir/shared/domain/unit.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { EventStore } from '../store/event-store.ts';
import type { UnitRecord, UnitStore } from '../store/unit-store.ts';
import { defaultSettings } from './default-settings.ts';

export const SETTINGS_BYTES_MAX = 1 << 20;

export interface Units {
  /** `settings` is JSON; missing members take the defaults, '' means all defaults. */
  create(name: string, settings: string, by: string): Promise<UnitRecord>;
  list(): Promise<readonly UnitRecord[]>;
  /** @throws WeirError `not_found` */
  find(name: string): Promise<UnitRecord>;
  /** Members that `settings` does not name keep their present values. */
  updateSettings(name: string, settings: string, by: string): Promise<UnitRecord>;
}

export interface UnitsOptions {
  readonly store: UnitStore;
  readonly events: EventStore;
  readonly random: Random;
  /** Publishes the unit's next bundle, when there is a floor to publish. */
  readonly republish: (unit: string) => Promise<void>;
}

export function createUnits({ store, events, random, republish }: UnitsOptions): Units {
  async function find(name: string): Promise<UnitRecord> {
    const unit = await store.unit(name);
    if (unit === undefined) {
      throw new WeirError('not_found', `there is no unit ${JSON.stringify(name.slice(0, 60))}`, {
        next: 'see `weir unit list`',
      });
    }
    return unit;
  }

  return {
    async create(name, settings, by) {
      if (!UNIT_NAME.test(name)) {
        throw new WeirError('invalid_argument', `${JSON.stringify(name.slice(0, 60))} is no unit name`, {
          next: 'use a lower-case letter, then up to 39 lower-case letters, digits or hyphens',
        });
      }
      const merged = readSettings(name, settings, defaultSettings(name));
      const unit = await store.insertUnit({ name, settings: merged, salt: random.bytes(32) });
      await events.insertEvent({ kind: 'unit_created', alarm: false, unit: name, spoke: '', detail: { by } });
      await republish(name);
      return unit;
    },
    list: () => store.listUnits(),
    find,
    async updateSettings(name, settings, by) {
      const present = await find(name);
      const merged = readSettings(name, settings, present.settings);
      const updated = await store.updateSettings(name, merged);
      if (updated === undefined) throw new WeirError('not_found', `there is no unit ${name}`);
      await events.insertEvent({ kind: 'settings_changed', alarm: false, unit: name, spoke: '', detail: { by } });
      await republish(name);
      return updated;
    },
  };
}

/** Objects are merged member by member, everything else is replaced; the result must be whole and valid. */
function readSettings(unit: string, text: string, base: Settings): Settings {
  if (text === '') return base;
  if (Buffer.byteLength(text) > SETTINGS_BYTES_MAX)
    throw new WeirError('too_large', 'the settings are larger than 1 MiB');
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (cause) {
    throw new WeirError('invalid_argument', 'the settings are not JSON', { cause });
  }
  if (!isObject(given)) throw new WeirError('invalid_argument', 'the settings are not a JSON object');
  const parsed = settingsSchema.safeParse({ ...merge(base, given), unit });
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new WeirError('invalid_argument', `the settings are not valid: ${faults.join('; ')}`);
  }
  const { warn_s, restrict_s, deny_s } = parsed.data.staleness;
  if (!(warn_s <= restrict_s && restrict_s <= deny_s)) {
    throw new WeirError(
      'invalid_argument',
      'the settings are not valid: staleness: warn_s ≤ restrict_s ≤ deny_s must hold',
    );
  }
  return parsed.data;
}

function merge(base: JsonObject, given: JsonObject): JsonObject {
  const merged: Record<string, JsonObject[string]> = { ...base };
  for (const [key, value] of Object.entries(given)) {
    const below = Object.hasOwn(base, key) ? base[key] : undefined;
    Object.defineProperty(merged, key, {
      value: isObject(value) && isObject(below) ? merge(below, value) : value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return merged;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
