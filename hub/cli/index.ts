// The hub's commands: one explicit list. Objects that both sides know are shared: whoever comes first makes them.

import type { Command } from 'commander';
import { registerAuditAlarms } from './audit-alarms.ts';
import { registerAuditCheck } from './audit-check.ts';
import { registerAuditCopy } from './audit-copy.ts';
import { registerAuditErase } from './audit-erase.ts';
import { registerAuditExport } from './audit-export.ts';
import { registerAuditFsck } from './audit-fsck.ts';
import { registerAuditKey } from './audit-key.ts';
import { type ProveElsewhere, registerAuditProve } from './audit-prove.ts';
import { registerAuditQuery } from './audit-query.ts';
import { registerAuditRestore } from './audit-restore.ts';
import { registerAuditTail } from './audit-tail.ts';
import { registerAuditVerify, type SpokeLogsAt } from './audit-verify.ts';
import { registerBundleList } from './bundle-list.ts';
import { registerBundleShow } from './bundle-show.ts';
import { objectCommand } from './connection.ts';
import { registerExceptionsPublish, registerIntelPublish } from './document-publish.ts';
import { registerFleetList } from './fleet-list.ts';
import { registerFloorDiff } from './floor-diff.ts';
import { registerFloorList } from './floor-list.ts';
import { registerFloorPublish } from './floor-publish.ts';
import { registerHubEvents } from './hub-events.ts';
import { registerHubRun } from './hub-run.ts';
import { registerHubStatus } from './hub-status.ts';
import { registerOverlayPublish } from './overlay-publish.ts';
import { registerPolicyCommands } from './policy-commands.ts';
import { registerSpokeInvite } from './spoke-invite.ts';
import { registerSpokeRevoke } from './spoke-revoke.ts';
import { registerTokenCreate } from './token-create.ts';
import { registerTokenList } from './token-list.ts';
import { registerTokenRevoke } from './token-revoke.ts';
import { registerUnitCreate } from './unit-create.ts';
import { registerUnitList } from './unit-list.ts';
import { registerUnitSettings } from './unit-settings.ts';
import { registerWhy, type WhyElsewhere } from './why.ts';

/** What the spokes of this machine can tell when the hub cannot; the other side's part, given by whoever knows both. */
export interface AtSpokes {
  readonly why: WhyElsewhere;
  readonly prove: ProveElsewhere;
  readonly logsAt: SpokeLogsAt;
}

export function registerHubCommands(program: Command, atSpokes: AtSpokes): void {
  const hub = objectCommand(program, 'hub', 'the control plane');
  registerHubRun(hub);
  registerHubStatus(hub);
  registerHubEvents(hub);
  const unit = objectCommand(program, 'unit', 'business units: the tenants');
  registerUnitCreate(unit);
  registerUnitList(unit);
  registerUnitSettings(unit);
  const spoke = objectCommand(program, 'spoke', 'registry proxies of a unit');
  registerSpokeInvite(spoke);
  registerSpokeRevoke(spoke);
  const floor = objectCommand(program, 'floor', 'the policy that every unit has');
  registerFloorPublish(floor);
  registerFloorList(floor);
  registerFloorDiff(floor);
  registerOverlayPublish(objectCommand(program, 'overlay', "a unit's own, tightening policy"));
  registerIntelPublish(objectCommand(program, 'intel', 'datasets for signals'));
  registerExceptionsPublish(objectCommand(program, 'exceptions', 'signed lowerings of rules'));
  const bundle = objectCommand(program, 'bundle', 'what spokes activate');
  registerBundleList(bundle);
  registerBundleShow(bundle);
  const token = objectCommand(program, 'token', "tokens of a unit's clients");
  registerTokenCreate(token);
  registerTokenRevoke(token);
  registerTokenList(token);
  registerFleetList(objectCommand(program, 'fleet', 'spokes and their state'));
  const audit = objectCommand(program, 'audit', 'recorded decisions');
  registerAuditTail(audit);
  registerAuditQuery(audit);
  registerAuditExport(audit);
  registerAuditProve(audit, atSpokes.prove);
  registerAuditCheck(audit);
  registerAuditKey(audit);
  registerAuditVerify(audit, atSpokes.logsAt);
  registerAuditFsck(audit);
  registerAuditCopy(audit);
  registerAuditRestore(audit);
  registerAuditAlarms(audit);
  registerAuditErase(audit);
  registerWhy(program, atSpokes.why);
  registerPolicyCommands(program);
}
