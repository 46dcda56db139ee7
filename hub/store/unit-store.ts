// Units (the tenants) and their signed settings.

import type { Settings } from '@weir/shared/bundle/layers.ts';

export interface UnitRecord {
  readonly name: string;
  readonly settings: Settings;
  /** Key of the HMAC over personal data in this unit's rows, 32 random bytes; handed to its spokes at enrollment only. */
  readonly salt: Uint8Array;
  readonly createdAtMs: number;
}

export interface UnitStore {
  /** Throws `conflict` when the name is taken. */
  insertUnit(unit: {
    readonly name: string;
    readonly settings: Settings;
    readonly salt: Uint8Array;
  }): Promise<UnitRecord>;
  unit(name: string): Promise<UnitRecord | undefined>;
  /** Every unit, by name. */
  listUnits(): Promise<readonly UnitRecord[]>;
  /** Replaces the settings; undefined when the unit does not exist. */
  updateSettings(name: string, settings: Settings): Promise<UnitRecord | undefined>;
}
