// Names of keys and logs in signed notes. They are written like addresses so that no two of them collide; nothing is
// ever fetched from them.

/** Origin of a log and name of the key that signs its checkpoints; `log` is a log id. */
export function logOrigin(workspace: string, log: string): string {
  return `audit.${workspace}.weir/${log}`;
}

/** Name of a spoke's enrolled audit key, which vouches for the keys of its logs. */
export function spokeKeyName(workspace: string, unit: string, spoke: string): string {
  return `spoke.${workspace}.weir/${unit}/${spoke}`;
}

/** Name of the hub's receipt key. */
export function receiptKeyName(workspace: string): string {
  return `hub.${workspace}.weir/audit-mirror`;
}
