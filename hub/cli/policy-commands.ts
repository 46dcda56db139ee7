// `weir policy …`: working on policy without a hub.

import type { Command } from 'commander';
import { objectCommand } from './connection.ts';
import { registerPolicyEval, registerPolicyExplain } from './policy-eval.ts';
import { registerPolicyTest } from './policy-test.ts';

export function registerPolicyCommands(program: Command): void {
  const policy = objectCommand(program, 'policy', 'work on policy, without a hub');
  registerPolicyTest(policy);
  registerPolicyEval(policy);
  registerPolicyExplain(policy);
}
