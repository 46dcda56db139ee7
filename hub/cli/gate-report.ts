// What the gates said of a submitted policy, for people.

import type { GateFinding, PublishedBundle } from '@weir/proto/weir/console/v1/console_pb.ts';
import { EXIT } from './exit-status.ts';
import { printable, printLine, shortDigest } from './output.ts';

export interface GateReport {
  readonly published: boolean;
  readonly findings: readonly GateFinding[];
  readonly bundles: readonly PublishedBundle[];
  /** e.g. `floor version 3`. */
  readonly what: string;
  readonly dryRun: boolean;
}

/** Exit status: refused when a gate objected. */
export function gateStatus({ published, findings, dryRun }: GateReport): number {
  return published || (dryRun && findings.length === 0) ? EXIT.done : EXIT.refused;
}

export function printGateReport(report: GateReport): void {
  const { published, findings, bundles, what, dryRun } = report;
  for (const { gate, file, line, message } of findings) {
    const place = file === '' ? 'the tree' : `${file}${line === 0 ? '' : `:${line}`}`;
    printLine(`${printable(place)}: ${gate}: ${printable(message)}`);
  }
  if (findings.length > 0) printLine(`nothing was published: ${findings.length} finding(s)`);
  else if (!published) printLine(dryRun ? 'all gates pass; nothing was published (dry run)' : 'nothing was published');
  else {
    printLine(`published ${what}`);
    for (const { unit, bundle } of bundles) {
      printLine(`  ${unit}: bundle version ${bundle?.version ?? 0n} ${shortDigest(bundle?.digest?.value)}`);
    }
    if (bundles.length === 0) printLine('  no unit has a new bundle (no units yet, or nothing changed for them)');
  }
}
