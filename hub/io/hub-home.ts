// The hub's home folder: its lock, its CA, the first operator's token, and the note that tells commands where it listens.

import { link, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { KeyAndChain } from '../enrollment/certificate-authority.ts';
import { readSmallFile, writePrivateFile } from './private-file.ts';

export interface HubHome {
  readonly path: string;
  /** The CA on disk; made by `make` when there is none. Two hubs starting on one home agree on one CA. */
  authority(make: () => Promise<KeyAndChain>): Promise<KeyAndChain>;
  /** Path of the bundle signing key. */
  readonly signingKeyFile: string;
  /** Path of the key that signs audit receipts. */
  readonly receiptKeyFile: string;
  readonly operatorTokenFile: string;
  hasOperatorToken(): Promise<boolean>;
  writeOperatorToken(token: string): Promise<void>;
  /** Tells commands on this machine where the admin port is. */
  writeAdminNote(url: string): Promise<void>;
  /** Gives the home up for another hub process. */
  release(): Promise<void>;
}

export const adminNoteSchema = z.object({ url: z.string(), pid: z.int() });

/**
 * Takes the home for this process.
 * @throws WeirError `conflict` when another live hub has it, `forbidden` when it cannot be written
 */
export async function openHubHome(path: string): Promise<HubHome> {
  const lock = join(path, 'hub.pid');
  try {
    // Others may walk through (the embedded database's account does), not look around; every secret is a 0600 file.
    await mkdir(path, { recursive: true, mode: 0o711 });
    await takeLock(lock);
  } catch (thrown) {
    if (thrown instanceof WeirError) throw thrown;
    const full = (thrown as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new WeirError(
      full ? 'resource_exhausted' : 'forbidden',
      full ? `no space is left for ${path}` : `the hub cannot write to ${path}`,
      {
        cause: thrown,
        next: full
          ? 'free some space or choose another folder with WEIR_HOME'
          : `make it writable (${describeThrown(thrown)}) or choose another folder with WEIR_HOME`,
      },
    );
  }
  const folder = join(path, 'ca');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'ca.pem');
  const operatorTokenFile = join(path, 'operator-token');

  return {
    path,
    signingKeyFile: join(path, 'signing-key.pem'),
    receiptKeyFile: join(path, 'receipt-key.pem'),
    operatorTokenFile,
    async authority(make) {
      const present = await readAuthority(file);
      if (present !== undefined) return present;
      const made = await make();
      // Written whole under another name and linked into place: never half a CA, never over an existing one.
      const temporary = `${file}.${process.pid}`;
      await writePrivateFile(temporary, `${made.key.trim()}\n${made.chain.trim()}\n`);
      try {
        await link(temporary, file);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
      } finally {
        await rm(temporary, { force: true });
      }
      const written = await readAuthority(file);
      if (written === undefined) throw new WeirError('internal', 'the CA vanished while it was made');
      return written;
    },
    hasOperatorToken: async () => (await readSmallFile(operatorTokenFile)) !== undefined,
    writeOperatorToken: (token) => writePrivateFile(operatorTokenFile, `${token}\n`),
    writeAdminNote: (url) =>
      writePrivateFile(join(path, 'admin.json'), `${JSON.stringify({ url, pid: process.pid })}\n`),
    release: () => rm(lock, { force: true }),
  };
}

async function readAuthority(file: string): Promise<KeyAndChain | undefined> {
  const text = await readSmallFile(file);
  if (text === undefined) return undefined;
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g)];
  const key = blocks.find(([, label]) => label === 'PRIVATE KEY')?.[0];
  const chain = blocks.find(([, label]) => label === 'CERTIFICATE')?.[0];
  if (key === undefined || chain === undefined) {
    throw new WeirError('corrupt', `${file} does not hold a key and a certificate`, {
      next: 'restore it from a backup',
    });
  }
  return { key: `${key}\n`, chain: `${chain}\n` };
}

async function takeLock(lock: string): Promise<void> {
  const holder = Number((await readSmallFile(lock))?.trim());
  if (Number.isInteger(holder) && holder > 0 && holder !== process.pid && (await isHub(holder))) {
    throw new WeirError('conflict', `another hub (process ${holder}) is using this home`, {
      next: 'stop it, or give this one another WEIR_HOME',
    });
  }
  await writePrivateFile(lock, `${process.pid}\n`);
}

/** Whether the process lives and is a Node program: after a reboot the number may belong to something else. */
async function isHub(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  try {
    return /node|weir/.test(await readFile(`/proc/${pid}/cmdline`, 'utf8'));
  } catch {
    // No /proc here: alive is all that can be known.
    return process.platform !== 'linux';
  }
}
