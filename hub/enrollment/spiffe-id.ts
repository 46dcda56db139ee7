// The name in a spoke's certificate: `spiffe://<workspace>.weir/unit/<unit>/spoke/<spoke>`. Read by a grammar of its own,
// because URL parsers normalise and accept far more.

const SPOKE_ID =
  /^spiffe:\/\/([a-z][a-z0-9-]{0,39})\.weir\/unit\/([a-z][a-z0-9-]{0,39})\/spoke\/([a-z][a-z0-9-]{0,39})$/;

export interface SpokeName {
  readonly workspace: string;
  readonly unit: string;
  readonly spoke: string;
}

export function spokeId(name: SpokeName): string {
  return `spiffe://${name.workspace}.weir/unit/${name.unit}/spoke/${name.spoke}`;
}

export function hubId(workspace: string): string {
  return `spiffe://${workspace}.weir/hub`;
}

/** The spoke that an id names, undefined for every other text. */
export function readSpokeId(id: string): SpokeName | undefined {
  const [, workspace, unit, spoke] = SPOKE_ID.exec(id) ?? [];
  return workspace === undefined || unit === undefined || spoke === undefined ? undefined : { workspace, unit, spoke };
}
