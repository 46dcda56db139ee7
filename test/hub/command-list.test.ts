// The lists of commands are true: each entry adds exactly the command that its words say, and no words stand twice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { hubCommands } from '@weir/hub/cli/index.ts';
import { SPOKE_COMMANDS } from '@weir/spoke/cli/index.ts';

const nowhere = () => Promise.resolve(undefined);
const COMMANDS = [...hubCommands({ why: nowhere, prove: nowhere, logsAt: nowhere }), ...SPOKE_COMMANDS];

test('every command that is listed is the one that is loaded', async () => {
  for (const entry of COMMANDS) {
    const parent = new Command();
    await entry.add(parent);
    assert.deepEqual(
      parent.commands.map((command) => command.name()),
      [entry.words.at(-1)],
      entry.words.join(' '),
    );
    assert.notEqual(parent.commands[0]?.description(), '', entry.words.join(' '));
  }
});

test('no command is listed twice', () => {
  const words = COMMANDS.map((entry) => entry.words.join(' '));
  assert.deepEqual(words, [...new Set(words)]);
});
