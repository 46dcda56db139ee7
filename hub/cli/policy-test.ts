// `weir policy test`: every publish gate on a folder, here and now, without a hub. What passes here passes there.

import type { Command } from 'commander';
import type { GateFinding } from '../floor/gate-finding.ts';
import type { GateOutcome } from '../floor/gates.ts';
import { EXIT } from './exit-status.ts';
import { printable, printJson, printLine, settle } from './output.ts';
import { localGates, readFloor, readOverlay, SHIPPED_FLOOR } from './policy-parts.ts';

interface Options {
  readonly overlay?: string;
  readonly floor: string;
  readonly json?: boolean;
}

export function registerPolicyTest(policy: Command): void {
  policy
    .command('test')
    .description('run every publish gate on a folder of policy, without a hub')
    .argument('<folder>', 'folder with the policy sources')
    .option('--overlay <unit>', "the folder is this unit's overlay and not a floor")
    .option('--floor <folder>', 'the floor that the overlay is compiled with', SHIPPED_FLOOR)
    .option('--json', 'machine-readable output')
    .action((folder: string, options: Options) =>
      settle(options.json === true, async () => {
        const gates = await localGates();
        const outcome =
          options.overlay === undefined
            ? await gates.floor(await readFloor(folder))
            : await gates.overlay(options.overlay, await readOverlay(folder), await readFloor(options.floor));
        if (options.json === true) printJson(asJson(outcome));
        else print(outcome);
        return outcome.ok ? EXIT.done : EXIT.refused;
      }),
    );
}

function asJson(outcome: GateOutcome): unknown {
  if (!outcome.ok) return { ok: false, findings: outcome.findings };
  const { rules, vectors, coverage, module, readsVersion, versionUse } = outcome.compiled;
  return {
    ok: true,
    rules: rules.rules.map(({ id, version }) => ({ id, version })),
    vectors: vectors.length,
    coverage,
    module_bytes: module.byteLength,
    reads_version: readsVersion,
    version_use: versionUse,
  };
}

function print(outcome: GateOutcome): void {
  if (!outcome.ok) {
    printFindings(outcome.findings);
    return;
  }
  const { rules, vectors, coverage, module, versionUse } = outcome.compiled;
  printLine('all gates pass');
  printLine(`  ${rules.rules.length} rules, ${vectors.length} self-test vectors, ${coverage} % of lines covered`);
  printLine(`  module of ${Math.ceil(module.byteLength / 1024)} KiB`);
  if (versionUse !== '') printLine(`  each version is judged on its own, because of ${printable(versionUse)}`);
}

export function printFindings(findings: readonly GateFinding[]): void {
  for (const { gate, file, line, message } of findings) {
    const place = file === '' ? 'the tree' : `${file}${line === 0 ? '' : `:${line}`}`;
    printLine(`${printable(place)}: ${gate}: ${printable(message)}`);
  }
  printLine(`${findings.length} finding(s)`);
}
