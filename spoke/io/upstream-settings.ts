// The configured registries as the upstream client takes them; credentials are read from their files here.

import { existsSync, readFileSync } from 'node:fs';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SpokeConfig } from '../config.ts';
import type { UpstreamRegistry } from './upstream.ts';

/** By registry id. @throws WeirError `not_found` when a credentials file does not exist */
export function upstreamRegistries({ upstreams }: SpokeConfig): Readonly<Record<string, UpstreamRegistry>> {
  const registries: Record<string, UpstreamRegistry> = {};
  for (const [id, upstream] of Object.entries(upstreams)) {
    if (upstream === undefined) continue;
    const headers = credentials(upstream.credentials_file);
    registries[id] = {
      baseUrl: upstream.url,
      allowedHosts: upstream.artifact_hosts,
      ...(headers === undefined ? {} : { headers }),
    };
  }
  return registries;
}

/** `user:password` becomes Basic, anything else Bearer. */
function credentials(file: string): Readonly<Record<string, string>> | undefined {
  if (file === '') return undefined;
  if (!existsSync(file))
    throw new WeirError('not_found', `the credentials file ${file} does not exist`, {
      next: 'create it or correct credentials_file',
    });
  const text = readFileSync(file, 'utf8').trim();
  return { authorization: text.includes(':') ? `Basic ${Buffer.from(text).toString('base64')}` : `Bearer ${text}` };
}
