// The process that a test kills in the middle of a download: stores one artifact whole, starts a second, and says so.

import { openArtifactCache } from '@weir/spoke/io/artifact-cache.ts';
import { createUpstream } from '@weir/spoke/io/upstream.ts';
import { recordLogs, recordMetrics } from './loopback.ts';

const [, , folder = '', baseUrl = '', promised = ''] = process.argv;
const upstream = createUpstream({ registries: { npm: { baseUrl } }, metrics: recordMetrics() });
const cache = await openArtifactCache({ folder, logger: recordLogs(), metrics: recordMetrics() });
const target = Buffer.alloc(1 << 20);
for (const file of ['whole.tgz', 'half.tgz']) {
  const artifact = await cache.getOrFill({
    registry: 'npm',
    name: { ecosystem: 'npm', namespace: '', name: 'pkg' },
    file,
    digests: JSON.parse(promised) as object,
    size: null,
    open: (signal) => upstream.openArtifact('npm', { url: file, documentUrl: baseUrl }, { signal }),
  });
  if (artifact === undefined) throw new Error('upstream has no such file');
  let position = 0;
  while (position < 300_000) position += await artifact.read(target, position);
  if (file === 'whole.tgz') await artifact.settled;
}
process.stdout.write('half way\n');
setInterval(() => undefined, 1_000);
