// The spoke's commands. Objects that both sides know (`weir spoke …`) are shared: whoever comes first makes them.

import type { Command } from 'commander';
import { registerAuditAcceptDamage } from './audit-accept-damage.ts';
import { registerAuditSpool } from './audit-spool.ts';
import { registerCheck } from './check.ts';
import { registerCompletion } from './completion.ts';
import { registerDoctor } from './doctor.ts';
import { registerInit } from './init.ts';
import { registerRun } from './run.ts';
import { registerStatus } from './status.ts';

export function registerSpokeCommands(program: Command): void {
  const spoke =
    program.commands.find((command) => command.name() === 'spoke') ??
    program.command('spoke').description('registry proxies of a unit');
  registerInit(spoke);
  registerRun(spoke);
  registerStatus(spoke);
  const audit =
    program.commands.find((command) => command.name() === 'audit') ??
    program.command('audit').description('recorded decisions');
  registerAuditSpool(audit);
  registerAuditAcceptDamage(audit);
  registerCheck(program);
  registerDoctor(program);
  registerCompletion(program);
}
