// The process behind `startBenchSpoke`: the whole spoke over the home it is given, log lines of trouble on stderr.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSpokeConfig } from '@weir/spoke/config.ts';
import { startSpoke } from '@weir/spoke/main.ts';

const [, , home = ''] = process.argv;
const spoke = await startSpoke({
  home,
  config: readSpokeConfig(await readFile(join(home, 'spoke.json'), 'utf8')),
  logStream: process.stderr,
  logLevel: 'error',
  env: {},
});

async function end(): Promise<void> {
  await spoke.close();
  process.exit(0);
}

process.on('SIGTERM', () => void end());
process.on('disconnect', () => void end());
process.send?.({ registry: spoke.registryPort, bundle: spoke.activeBundle() });
