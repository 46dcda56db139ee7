// `weir policy eval` and `weir policy explain`: the verdict of the spokes' own engine on an input document, under a floor,
// an overlay, settings and exceptions from files. The first prints it whole, the second says it in words.

import type { Command } from 'commander';
import { z } from 'zod';
import { exceptionsSchema, settingsSchema } from '@weir/shared/bundle/layers.ts';
import { INPUT_SCHEMA, type PolicyInput } from '@weir/shared/policy/input.ts';
import { type ExplainedVerdict, type TrialOutcome, tryPolicy } from '../floor/trial-run.ts';
import { systemClock } from '../io/system-clock.ts';
import { defaultSettings } from '../unit/default-settings.ts';
import { EXIT } from './exit-status.ts';
import { printable, printJson, printLine, settle } from './output.ts';
import { localGates, readDocument, readFloor, readOverlay, SHIPPED_FLOOR } from './policy-parts.ts';
import { printFindings } from './policy-test.ts';

interface Options {
  readonly input: string;
  readonly floor: string;
  readonly overlay?: string;
  readonly settings?: string;
  readonly exceptions?: string;
  readonly json?: boolean;
}

// Enough to hand it to the engine, which checks the rest; people write these by hand.
const inputDocument = z.looseObject({
  schema: z.literal(INPUT_SCHEMA),
  unit: z.looseObject({ unit: z.string() }),
  context: z.looseObject({ now: z.int() }),
  candidates: z
    .array(z.looseObject({ subject: z.looseObject({ purl: z.string() }), evidence: z.record(z.string(), z.unknown()) }))
    .min(1),
});

export function registerPolicyEval(policy: Command): void {
  withInput(policy.command('eval').description('the verdict on an input document, as json')).action(
    (options: Options) =>
      settle(true, async () => {
        const outcome = await judge(options);
        printJson(outcome.ok ? outcome.verdicts.map(({ purl, verdict }) => ({ purl, ...verdict })) : outcome);
        return outcome.ok ? EXIT.done : EXIT.refused;
      }),
  );
}

export function registerPolicyExplain(policy: Command): void {
  withInput(policy.command('explain').description('why an input document gets its verdict'))
    .option('--json', 'machine-readable output')
    .action((options: Options) =>
      settle(options.json === true, async () => {
        const outcome = await judge(options);
        if (options.json === true) printJson(outcome.ok ? outcome.verdicts : outcome);
        else print(outcome);
        return outcome.ok ? EXIT.done : EXIT.refused;
      }),
    );
}

function withInput(command: Command): Command {
  return command
    .requiredOption('--input <file>', 'weir.input/v1 JSON')
    .option('--floor <folder>', 'floor sources', SHIPPED_FLOOR)
    .option('--overlay <folder>', "overlay sources, of the input's unit")
    .option('--settings <file>', 'weir.settings/v1 JSON (default: the settings of a new unit)')
    .option('--exceptions <file>', 'weir.exceptions/v1 JSON (default: none)');
}

async function judge(options: Options): Promise<TrialOutcome> {
  const input = (await readDocument(options.input, inputDocument)) as unknown as PolicyInput;
  const settings =
    options.settings === undefined
      ? defaultSettings(input.unit.unit)
      : await readDocument(options.settings, settingsSchema);
  const exceptions =
    options.exceptions === undefined
      ? ({ schema: 'weir.exceptions/v1', exceptions: [] } as const)
      : await readDocument(options.exceptions, exceptionsSchema);
  return tryPolicy(await localGates(), systemClock, {
    floor: await readFloor(options.floor),
    overlay: options.overlay === undefined ? null : await readOverlay(options.overlay),
    settings,
    exceptions: { ...exceptions, exceptions: [...exceptions.exceptions] },
    input,
  });
}

function print(outcome: TrialOutcome): void {
  if (!outcome.ok) {
    printFindings(outcome.findings);
    return;
  }
  for (const verdict of outcome.verdicts) printVerdict(verdict);
}

function printVerdict({ purl, verdict, reasons }: ExplainedVerdict): void {
  printLine(`${printable(purl)}: ${verdict.level} (floor ${verdict.floor_level}, overlay ${verdict.overlay_level})`);
  if (reasons.length === 0) printLine('  no rule has anything to say');
  for (const reason of reasons) {
    const lowered = reason.exception === '' ? '' : `, lowered to ${reason.effective} by exception ${reason.exception}`;
    printLine(`  ${reason.rule} (${reason.layer}) ${reason.level}${lowered}: ${printable(reason.title)}`);
    if (reason.detail !== '') printLine(`    ${printable(reason.detail)}`);
    if (reason.meta !== undefined) printLine(`    what to do: ${printable(reason.meta.solution)}`);
  }
  for (const { kind, min_reviewers: reviewers, key } of verdict.obligations) {
    printLine(`  ${kind}: ${reviewers} reviewer(s), key ${key}`);
  }
}
