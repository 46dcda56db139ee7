// What an operator has to look at before a spoke in block mode serves again: the damage found, written down beside the epochs
// before anything else is done about it, until somebody accepts it by a second file that names exactly what they saw.

import { createHash } from 'node:crypto';
import { LOG_ID_MAX } from '@weir/shared/audit/log-id.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { z } from 'zod';
import { jsonIn } from './closure.ts';
import { DAMAGE_KINDS, type Damage } from './find-damage.ts';
import type { LedgerDisk } from './ledger-disk.ts';

export const DAMAGE_FILE = 'damage.json';
export const ACCEPTANCE_FILE = 'damage-accepted.json';
/** Damages listed; more than that are the same catastrophe. */
const DAMAGES_MAX = 32;

const index = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const noteSchema = z.strictObject({
  v: z.literal(1),
  damages: z
    .array(
      z.strictObject({
        /** Log id; '' when the file stands beside the epochs. */
        log: z.string().max(LOG_ID_MAX),
        what: z.enum(DAMAGE_KINDS),
        file: z.string().max(200),
        offset: index,
        index,
        at: z.string().max(40),
        /** Whether its event row is durable. */
        told: z.boolean(),
      }),
    )
    .max(DAMAGES_MAX),
});

const acceptanceSchema = z.strictObject({
  v: z.literal(1),
  /** SHA-256 of the damages that were accepted, hex. */
  of: z.string().regex(/^[0-9a-f]{64}$/),
  who: z.string().min(1).max(120),
  at: z.string().max(40),
});

export type NotedDamage = Readonly<z.infer<typeof noteSchema>['damages'][number]>;
export type Acceptance = Readonly<z.infer<typeof acceptanceSchema>>;

/** What is noted, [] when nothing is. A note that cannot be read is itself a damage. */
export async function readDamages(disk: Pick<LedgerDisk, 'load'>): Promise<readonly NotedDamage[]> {
  const bytes = await disk.load(DAMAGE_FILE);
  if (bytes === undefined) return [];
  const parsed = noteSchema.safeParse(jsonIn(bytes));
  if (parsed.success) return parsed.data.damages;
  return [{ log: '', what: 'damaged_file', file: DAMAGE_FILE, offset: 0, index: 0, at: '', told: false }];
}

export async function writeDamages(disk: Pick<LedgerDisk, 'replace'>, damages: readonly NotedDamage[]): Promise<void> {
  await disk.replace(DAMAGE_FILE, Buffer.from(`${JSON.stringify({ v: 1, damages })}\n`));
}

/** The damages with one more, which is left out when it is noted already, or when there are too many to list. */
export function withDamage(
  damages: readonly NotedDamage[],
  log: string,
  damage: Damage,
  at: string,
): readonly NotedDamage[] {
  const { what, file, offset, index: first } = damage;
  const isNoted = damages.some((each) => each.log === log && each.file === file && each.what === what);
  if (isNoted || damages.length >= DAMAGES_MAX) return damages;
  return [...damages, { log, what, file, offset, index: first, at, told: false }];
}

/**
 * Accepts the damage that is noted now, in the name of `who`; the spoke takes it up within a second, or at its next start,
 * and records who it was. Returns what was accepted. Throws `not_found` when there is nothing to accept.
 */
export async function acceptDamage(
  disk: Pick<LedgerDisk, 'load' | 'replace'>,
  who: string,
  at: string,
): Promise<readonly NotedDamage[]> {
  const damages = await readDamages(disk);
  if (damages.length === 0) throw new WeirError('not_found', 'this audit log has no damage to accept');
  const acceptance = { v: 1, of: digestOf(damages), who: who.slice(0, 120), at } as const;
  await disk.replace(ACCEPTANCE_FILE, Buffer.from(`${JSON.stringify(acceptance)}\n`));
  return damages;
}

/** Who accepted exactly what is noted now; undefined while nobody did. */
export async function readAcceptance(disk: Pick<LedgerDisk, 'load'>): Promise<Acceptance | undefined> {
  const bytes = await disk.load(ACCEPTANCE_FILE);
  const parsed = bytes === undefined ? undefined : acceptanceSchema.safeParse(jsonIn(bytes));
  if (parsed?.success !== true) return undefined;
  return parsed.data.of === digestOf(await readDamages(disk)) ? parsed.data : undefined;
}

/** Forgets the damage; the acceptance goes last, and on its own it means nothing. */
export async function clearDamage(disk: Pick<LedgerDisk, 'remove'>): Promise<void> {
  await disk.remove(DAMAGE_FILE);
  await disk.remove(ACCEPTANCE_FILE);
}

function digestOf(damages: readonly NotedDamage[]): string {
  const seen = damages.map(({ told: _told, ...damage }) => damage);
  return createHash('sha256').update(JSON.stringify(seen)).digest('hex');
}
