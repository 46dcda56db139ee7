// Every configured sink, pushed to side by side by the one replica that leads: none waits for another.

import type { PushSettings } from '../config.ts';
import { createPush, type PushPorts } from './push.ts';
import type { PushSink } from './push-sink.ts';

/** Sends until the signal aborts, then closes what was opened; never rejects for a sink's trouble. */
export async function pushRows(
  sinks: readonly PushSettings[],
  open: (settings: PushSettings) => PushSink,
  ports: Omit<PushPorts, 'sink'>,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    sinks.map(async (settings) => {
      const sink = open(settings);
      try {
        const { name, format, from, batch_rows: batchRows } = settings;
        await createPush({ ...ports, sink }, { name, format, from, limits: { batchRows } }).run(signal);
      } finally {
        await sink.close();
      }
    }),
  );
}
