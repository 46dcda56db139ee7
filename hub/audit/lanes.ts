// Lanes of group commit. Every log belongs to one lane, where its batches keep their order; each lane has one commit under way,
// and what arrives meanwhile is the next one, up to a bound.

export interface LaneLimits {
  /** Commits under way at once. */
  readonly lanes: number;
  /** Rows and row bytes in one commit; one batch is always taken. */
  readonly groupRows: number;
  readonly groupBytes: number;
}

export const LANE_LIMITS: LaneLimits = { lanes: 2, groupRows: 16_384, groupBytes: 16 << 20 };

export interface LaneItem {
  readonly log: string;
  readonly rows: number;
  readonly bytes: number;
}

export interface Lanes<Item extends LaneItem> {
  /** Queues an item; it is part of a later commit of its log's lane. */
  put(item: Item): void;
}

/** `commit` gets the items of one group in the order in which they came, and must not reject. */
export function createLanes<Item extends LaneItem>(
  limits: LaneLimits,
  commit: (group: readonly Item[]) => Promise<void>,
): Lanes<Item> {
  const lanes = Array.from({ length: limits.lanes }, () => ({ queue: [] as Item[], running: false }));

  async function run(lane: (typeof lanes)[number]): Promise<void> {
    lane.running = true;
    try {
      while (lane.queue.length > 0) await commit(takeGroup(lane.queue, limits));
    } finally {
      lane.running = false;
    }
  }

  return {
    put(item) {
      const lane = lanes[laneOf(item.log, limits.lanes)];
      if (lane === undefined) throw new RangeError('there is no such lane');
      lane.queue.push(item);
      if (!lane.running) void run(lane);
    },
  };
}

function takeGroup<Item extends LaneItem>(queue: Item[], { groupRows, groupBytes }: LaneLimits): readonly Item[] {
  let count = 0;
  let rows = 0;
  let bytes = 0;
  for (const item of queue) {
    rows += item.rows;
    bytes += item.bytes;
    if (count > 0 && (rows > groupRows || bytes > groupBytes)) break;
    count += 1;
  }
  return queue.splice(0, count);
}

/** FNV-1a over the log id: the same lane for the same log, evenly over many. */
export function laneOf(log: string, lanes: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < log.length; i += 1) hash = Math.imul(hash ^ log.charCodeAt(i), 0x01000193) >>> 0;
  return hash % lanes;
}
