// How a command finds its hub: --hub, WEIR_HUB, or the note that the hub left in WEIR_HOME; and the operator token likewise.

import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type AdminClient, createAdminClient } from '../io/admin-client.ts';
import { adminNoteSchema } from '../io/hub-home.ts';
import { readSmallFile } from '../io/private-file.ts';

export interface ConnectionOptions {
  readonly hub?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly json?: boolean;
}

/** The options that every command of the admin port takes. */
export function withConnection(command: Command): Command {
  return command
    .option('--hub <url>', 'admin URL of the hub (default: WEIR_HUB, then the hub of WEIR_HOME)')
    .option('--token-file <file>', 'file with the operator token (default: WEIR_TOKEN_FILE, then the one in WEIR_HOME)')
    .option('--ca-file <file>', "PEM file of the CA behind an https hub (default: the system's)")
    .option('--json', 'machine-readable output');
}

export async function connect(options: ConnectionOptions): Promise<AdminClient> {
  const home = join(weirHome(), 'hub');
  const url = options.hub ?? nonEmpty(process.env['WEIR_HUB']) ?? (await notedUrl(home));
  if (url === undefined) {
    throw new WeirError('not_found', 'no hub is known here', {
      next: 'start one with `weir hub run`, set WEIR_HOME to its home, or pass --hub URL',
    });
  }
  const tokenFile = options.tokenFile ?? nonEmpty(process.env['WEIR_TOKEN_FILE']) ?? join(home, 'operator-token');
  const token = (await readSmallFile(tokenFile))?.trim() ?? '';
  if (token === '') {
    throw new WeirError('unauthenticated', `there is no operator token in ${tokenFile}`, {
      next: 'pass --token-file FILE',
    });
  }
  return createAdminClient({ url, token, caFile: options.caFile ?? '' });
}

export function weirHome(): string {
  return nonEmpty(process.env['WEIR_HOME']) ?? '.weir';
}

/** Seconds from `90`, `15m`, `12h` or `7d`. */
export function readDuration(text: string): number {
  const [, number, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('use a number of seconds, or 15m, 12h, 7d');
  return Number(number) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1);
}

export function readCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('use a whole number');
  return Number(text);
}

async function notedUrl(home: string): Promise<string | undefined> {
  const text = await readSmallFile(join(home, 'admin.json'));
  return text === undefined ? undefined : adminNoteSchema.parse(JSON.parse(text)).url;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
