// The spoke's commands: one explicit list. Each is loaded when its words are asked for, because what a command needs takes longer
// to load than most of them take to run.

import type { Command } from 'commander';

/** One command: its words, and how it is added to the command before its last word. */
export interface CommandEntry {
  readonly words: readonly [string] | readonly [string, string];
  add(parent: Command): Promise<void>;
}

export const SPOKE_COMMANDS: readonly CommandEntry[] = [
  { words: ['spoke', 'init'], add: async (spoke) => (await import('./init.ts')).registerInit(spoke) },
  { words: ['spoke', 'run'], add: async (spoke) => (await import('./run.ts')).registerRun(spoke) },
  { words: ['spoke', 'status'], add: async (spoke) => (await import('./status.ts')).registerStatus(spoke) },
  { words: ['audit', 'spool'], add: async (audit) => (await import('./audit-spool.ts')).registerAuditSpool(audit) },
  {
    words: ['audit', 'accept-damage'],
    add: async (audit) => (await import('./audit-accept-damage.ts')).registerAuditAcceptDamage(audit),
  },
  { words: ['check'], add: async (program) => (await import('./check.ts')).registerCheck(program) },
  { words: ['doctor'], add: async (program) => (await import('./doctor.ts')).registerDoctor(program) },
];
