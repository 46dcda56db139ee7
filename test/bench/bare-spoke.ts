// The process behind `startBareSpoke`: passes an npm registry's documents and tarballs through the spoke's real caches.

import { join } from 'node:path';
import { openArtifactCache } from '@weir/spoke/io/artifact-cache.ts';
import { readWhole } from '@weir/spoke/io/byte-source.ts';
import { createHotCache } from '@weir/spoke/io/hot-cache.ts';
import { HOT_CACHE_LIMITS } from '@weir/spoke/io/io-limits.ts';
import { startListener } from '@weir/spoke/io/listener.ts';
import { openMetadataCache } from '@weir/spoke/io/metadata-cache.ts';
import { systemClock } from '@weir/spoke/io/system-clock.ts';
import { createUpstream } from '@weir/spoke/io/upstream.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';

const [, , folder = '', baseUrl = ''] = process.argv;
const metrics: Metrics = { count: () => undefined, gauge: () => undefined, observe: () => undefined };
const logger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields, message) => console.error(message, fields),
  error: (fields, message) => console.error(message, fields),
  child: () => logger,
};

interface Version {
  readonly tarball: string;
  readonly sha512: string;
  readonly sha1: string;
}

const upstream = createUpstream({ registries: { npm: { baseUrl } }, metrics });
const documents = await openMetadataCache<Map<string, Version>>({
  upstream,
  folder: join(folder, 'metadata'),
  clock: systemClock,
  logger,
  metrics,
});
const artifacts = await openArtifactCache({ folder: join(folder, 'artifacts'), logger, metrics });
const hot = createHotCache(metrics);

const listener = await startListener({
  host: '127.0.0.1',
  port: 0,
  logger,
  metrics,
  handler: async (request, reply) => {
    const kept = hot.get(request.url);
    if (kept !== undefined) {
      reply.sendBuffer(200, 'OK', kept.head, kept.body);
      return;
    }
    const [name = '', file] = request.url.slice('/npm/'.length).split('/-/');
    const document = await documents.get({
      registry: 'npm',
      request: { path: name, accept: 'application/json' },
      read: ({ bytes }) => versionsOf(Buffer.from(bytes).toString()),
    });
    if (document.kind === 'absent') {
      reply.sendBuffer(404, 'Not Found', [], Buffer.from('{}'));
      return;
    }
    if (file === undefined) {
      reply.sendBuffer(200, 'OK', ['Content-Type', 'application/json'], Buffer.from(document.document.bytes));
      return;
    }
    const version = document.value.get(file);
    const artifact =
      version === undefined
        ? undefined
        : await artifacts.getOrFill({
            registry: 'npm',
            name: { ecosystem: 'npm', namespace: '', name },
            file,
            digests: { sha512: version.sha512, sha1: version.sha1 },
            size: null,
            open: (signal) =>
              upstream.openArtifact(
                'npm',
                { url: version.tarball, documentUrl: document.document.baseUrl },
                { signal },
              ),
          });
    if (artifact === undefined) {
      reply.sendBuffer(404, 'Not Found', [], Buffer.from('{}'));
      return;
    }
    const head = ['Content-Type', 'application/octet-stream'];
    if (artifact.state === 'stored' && (artifact.size ?? 0) <= HOT_CACHE_LIMITS.objectBytes) {
      const body = await readWhole(artifact, HOT_CACHE_LIMITS.objectBytes);
      artifact.release();
      hot.put(request.url, { head, body, etag: '' });
      reply.sendBuffer(200, 'OK', head, body);
      return;
    }
    const sent = await reply.sendFile('OK', head, artifact);
    if (sent.kind === 'failed' && !sent.headSent) {
      reply.sendBuffer(502, 'Bad Gateway', [], Buffer.from(sent.error.message));
    }
  },
});

function versionsOf(text: string): Map<string, Version> {
  const { versions } = JSON.parse(text) as {
    versions: Record<string, { dist: { tarball: string; integrity: string; shasum: string } }>;
  };
  const files = new Map<string, Version>();
  for (const { dist } of Object.values(versions)) {
    const sha512 = Buffer.from(dist.integrity.slice('sha512-'.length), 'base64').toString('hex');
    files.set(dist.tarball.slice(dist.tarball.lastIndexOf('/') + 1), {
      tarball: dist.tarball,
      sha512,
      sha1: dist.shasum,
    });
  }
  return files;
}

async function end(): Promise<void> {
  await listener.close(1_000);
  await documents.close();
  await artifacts.close();
  await upstream.close();
  process.exit(0);
}

process.on('SIGTERM', () => void end());
process.on('disconnect', () => void end());
process.send?.({ registry: listener.port });
