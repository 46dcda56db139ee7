// The hub's commands: one explicit list. Each is loaded when its words are asked for, because what a command needs takes longer
// to load than most of them take to run.

import type { Command } from 'commander';
import type { ProveElsewhere } from './audit-prove.ts';
import type { SpokeLogsAt } from './audit-verify.ts';
import type { WhyElsewhere } from './why.ts';

/** What the spokes of this machine can tell when the hub cannot; the other side's part, given by whoever knows both. */
export interface AtSpokes {
  readonly why: WhyElsewhere;
  readonly prove: ProveElsewhere;
  readonly logsAt: SpokeLogsAt;
}

/** One command: its words, and how it is added to the command before its last word. */
export interface CommandEntry {
  readonly words: readonly [string] | readonly [string, string];
  add(parent: Command): Promise<void>;
}

export function hubCommands(atSpokes: AtSpokes): readonly CommandEntry[] {
  return [
    { words: ['hub', 'run'], add: async (hub) => (await import('./hub-run.ts')).registerHubRun(hub) },
    { words: ['hub', 'status'], add: async (hub) => (await import('./hub-status.ts')).registerHubStatus(hub) },
    { words: ['hub', 'events'], add: async (hub) => (await import('./hub-events.ts')).registerHubEvents(hub) },
    { words: ['unit', 'create'], add: async (unit) => (await import('./unit-create.ts')).registerUnitCreate(unit) },
    { words: ['unit', 'list'], add: async (unit) => (await import('./unit-list.ts')).registerUnitList(unit) },
    {
      words: ['unit', 'settings'],
      add: async (unit) => (await import('./unit-settings.ts')).registerUnitSettings(unit),
    },
    {
      words: ['spoke', 'invite'],
      add: async (spoke) => (await import('./spoke-invite.ts')).registerSpokeInvite(spoke),
    },
    {
      words: ['spoke', 'revoke'],
      add: async (spoke) => (await import('./spoke-revoke.ts')).registerSpokeRevoke(spoke),
    },
    {
      words: ['floor', 'publish'],
      add: async (floor) => (await import('./floor-publish.ts')).registerFloorPublish(floor),
    },
    { words: ['floor', 'list'], add: async (floor) => (await import('./floor-list.ts')).registerFloorList(floor) },
    { words: ['floor', 'diff'], add: async (floor) => (await import('./floor-diff.ts')).registerFloorDiff(floor) },
    {
      words: ['overlay', 'publish'],
      add: async (overlay) => (await import('./overlay-publish.ts')).registerOverlayPublish(overlay),
    },
    {
      words: ['intel', 'publish'],
      add: async (intel) => (await import('./document-publish.ts')).registerIntelPublish(intel),
    },
    {
      words: ['exceptions', 'publish'],
      add: async (exceptions) => (await import('./document-publish.ts')).registerExceptionsPublish(exceptions),
    },
    { words: ['bundle', 'list'], add: async (bundle) => (await import('./bundle-list.ts')).registerBundleList(bundle) },
    { words: ['bundle', 'show'], add: async (bundle) => (await import('./bundle-show.ts')).registerBundleShow(bundle) },
    {
      words: ['token', 'create'],
      add: async (token) => (await import('./token-create.ts')).registerTokenCreate(token),
    },
    {
      words: ['token', 'revoke'],
      add: async (token) => (await import('./token-revoke.ts')).registerTokenRevoke(token),
    },
    { words: ['token', 'list'], add: async (token) => (await import('./token-list.ts')).registerTokenList(token) },
    { words: ['fleet', 'list'], add: async (fleet) => (await import('./fleet-list.ts')).registerFleetList(fleet) },
    { words: ['audit', 'tail'], add: async (audit) => (await import('./audit-tail.ts')).registerAuditTail(audit) },
    { words: ['audit', 'query'], add: async (audit) => (await import('./audit-query.ts')).registerAuditQuery(audit) },
    {
      words: ['audit', 'export'],
      add: async (audit) => (await import('./audit-export.ts')).registerAuditExport(audit),
    },
    {
      words: ['audit', 'prove'],
      add: async (audit) => (await import('./audit-prove.ts')).registerAuditProve(audit, atSpokes.prove),
    },
    { words: ['audit', 'check'], add: async (audit) => (await import('./audit-check.ts')).registerAuditCheck(audit) },
    { words: ['audit', 'key'], add: async (audit) => (await import('./audit-key.ts')).registerAuditKey(audit) },
    {
      words: ['audit', 'verify'],
      add: async (audit) => (await import('./audit-verify.ts')).registerAuditVerify(audit, atSpokes.logsAt),
    },
    { words: ['audit', 'fsck'], add: async (audit) => (await import('./audit-fsck.ts')).registerAuditFsck(audit) },
    { words: ['audit', 'copy'], add: async (audit) => (await import('./audit-copy.ts')).registerAuditCopy(audit) },
    {
      words: ['audit', 'restore'],
      add: async (audit) => (await import('./audit-restore.ts')).registerAuditRestore(audit),
    },
    {
      words: ['audit', 'alarms'],
      add: async (audit) => (await import('./audit-alarms.ts')).registerAuditAlarms(audit),
    },
    { words: ['audit', 'erase'], add: async (audit) => (await import('./audit-erase.ts')).registerAuditErase(audit) },
    { words: ['why'], add: async (program) => (await import('./why.ts')).registerWhy(program, atSpokes.why) },
    { words: ['policy', 'test'], add: async (policy) => (await import('./policy-test.ts')).registerPolicyTest(policy) },
    { words: ['policy', 'eval'], add: async (policy) => (await import('./policy-eval.ts')).registerPolicyEval(policy) },
    {
      words: ['policy', 'explain'],
      add: async (policy) => (await import('./policy-eval.ts')).registerPolicyExplain(policy),
    },
  ];
}
