// The write-once copies that the configuration names.

import { z } from 'zod';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { CopyTarget } from '../audit/copy-target.ts';
import type { CopySettings } from '../config.ts';
import { createBucketTarget } from './copy-bucket.ts';
import { createFolderTarget } from './copy-folder.ts';
import { readSmallFile } from './private-file.ts';

const credentialsSchema = z.strictObject({
  access_key_id: z.string().min(1).max(256),
  secret_access_key: z.string().min(1).max(1024),
});

/** Throws `invalid_argument` when the credentials are not what they should be, `unavailable` when a folder cannot be made. */
export async function openCopyTargets(
  settings: Pick<CopySettings, 'folder' | 's3'>,
  { logger, nowMs }: { readonly logger: Logger; readonly nowMs: () => number },
): Promise<readonly CopyTarget[]> {
  const targets: CopyTarget[] = [];
  if (settings.folder !== '') targets.push(await createFolderTarget(settings.folder));
  if (settings.s3 !== null) {
    const { endpoint, bucket, region, prefix } = settings.s3;
    targets.push(
      createBucketTarget({
        endpoint,
        bucket,
        region,
        prefix,
        credentials: await readCredentials(settings.s3.credentials_file),
        lockDays: settings.s3.lock_days,
        allowUnlocked: settings.s3.allow_unlocked,
        logger,
        nowMs,
      }),
    );
  }
  return targets;
}

async function readCredentials(
  file: string,
): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }> {
  const text = await readSmallFile(file);
  if (text === undefined) throw refused('does not exist');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Whatever is in it must not get into a message.
    throw refused('is not JSON');
  }
  const parsed = credentialsSchema.safeParse(value);
  if (!parsed.success) throw refused('does not have access_key_id and secret_access_key');
  return { accessKeyId: parsed.data.access_key_id, secretAccessKey: parsed.data.secret_access_key };
}

function refused(why: string): WeirError {
  return new WeirError('invalid_argument', `audit.copy.s3.credentials_file ${why}`, {
    next: 'write {"access_key_id": …, "secret_access_key": …} into it, readable by the hub only',
  });
}
