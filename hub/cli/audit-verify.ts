// `weir audit verify`: an auditor's reading of whole logs, wherever they are: at a spoke, at the hub, in a write-once copy or in
// an export. Every row is read, hashed and judged here; nobody's word is taken for it.

import type { Command } from 'commander';
import { AuditLogService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { type LogReport, verifyLog } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { EXIT } from './exit-status.ts';
import { type FoundLog, logsBelow } from './log-folder.ts';
import { instant, printable, printJson, printLine, settle } from './output.ts';
import { count, createProgress, type Progress } from './progress.ts';
import { remoteLog } from './remote-log.ts';
import { keysFor, type KeyOptions, type TrustedKeys, trustNote, withKeys } from './trusted-keys.ts';

const PAGE_LOGS = 1000;

/** Logs in the home of a spoke, or in one log's own folder there; undefined when the folder is neither. */
export type SpokeLogsAt = (folder: string) => Promise<readonly FoundLog[] | undefined>;

interface Options extends ConnectionOptions, KeyOptions {
  readonly log?: string;
  readonly all?: boolean;
}

interface Outcome {
  readonly log: string;
  readonly place: string;
  /** Undefined when the checkpoint itself was refused. */
  readonly report: LogReport | undefined;
  readonly refusal: string;
  readonly keys: Pick<TrustedKeys, 'logFrom' | 'hubFrom'> | undefined;
}

export function registerAuditVerify(audit: Command, spokeLogsAt: SpokeLogsAt): void {
  withKeys(withConnection(audit.command('verify').description('verify every row, root and signature of whole logs')))
    .argument('[folder]', "a spoke's home or log folder, a write-once copy, or a native export")
    .option('--log <log>', 'this log, as the hub has it')
    .option('--all', 'every log, as the hub has it')
    .addHelpText(
      'after',
      `
Without --key or --spoke-key the keys beside the rows are used: then rows and signatures are shown to belong together, and
nothing about who signed. A spoke may be running. Exit status: 0 all sound, 1 a fault was found.`,
    )
    .action((folder: string | undefined, options: Options) =>
      settle(options.json === true, () => verify(folder, options, spokeLogsAt)),
    );
}

async function verify(folder: string | undefined, options: Options, spokeLogsAt: SpokeLogsAt): Promise<number> {
  const chosen = [folder !== undefined, options.log !== undefined, options.all === true].filter(Boolean).length;
  if (chosen !== 1) {
    throw new WeirError('invalid_argument', 'say what to verify: a folder, --log LOG or --all', {
      next: "a folder is a spoke's home, a write-once copy or a native export",
    });
  }
  const progress = createProgress('verifying');
  const outcomes: Outcome[] = [];
  const logs = folder === undefined ? logsAtHub(options) : foldersLogs(folder, spokeLogsAt);
  for await (const found of logs) {
    const outcome = await read(found, options, progress);
    outcomes.push(outcome);
    if (options.json !== true) {
      progress.clear();
      tell(outcome);
    }
  }
  progress.clear();
  const sound = outcomes.every(isSound);
  if (options.json === true) printJson({ sound, logs: outcomes.map(outcomeJson) });
  else summarise(outcomes);
  return sound ? EXIT.done : EXIT.failed;
}

async function* logsAtHub(options: Options): AsyncGenerator<FoundLog> {
  const client = (await connect(options))(AuditLogService);
  if (options.log !== undefined) {
    yield await remoteLog(client, options.log);
    return;
  }
  for (let cursor = ''; ; ) {
    const page = await client.listLogs({ page: { size: PAGE_LOGS, cursor } });
    for (const { log, receipted } of page.logs) if (receipted > 0n) yield await remoteLog(client, log);
    if (page.nextCursor === '') return;
    cursor = page.nextCursor;
  }
}

async function* foldersLogs(folder: string, spokeLogsAt: SpokeLogsAt): AsyncGenerator<FoundLog> {
  const found = (await spokeLogsAt(folder)) ?? logsBelow(folder);
  if (found.length === 0) {
    throw new WeirError('not_found', `there is no log in ${folder}`, {
      next: "give a spoke's home, a folder with a checkpoint in it, or a folder of such folders",
    });
  }
  yield* found;
}

async function read(found: FoundLog, options: KeyOptions, progress: Progress): Promise<Outcome> {
  const { log, place, source, beside } = found;
  try {
    const keys = keysFor(readCheckpoint(await source.checkpoint()).origin, options, beside);
    const report = await verifyLog(source, keys, ({ rows, size }) => progress.at(rows, size, log));
    return { log, place, report, refusal: '', keys };
  } catch (thrown) {
    if (!(thrown instanceof WeirError) || !REFUSALS.has(thrown.code)) throw thrown;
    return { log, place, report: undefined, refusal: thrown.message, keys: undefined };
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['untrusted', 'corrupt', 'integrity']);

function isSound({ report }: Outcome): boolean {
  return report !== undefined && report.faultCount === 0 && report.coverage.faultCount === 0;
}

function tell(outcome: Outcome): void {
  const { log, place, report, refusal } = outcome;
  if (report === undefined) {
    printLine(`FAULT  ${printable(log)} (${printable(place)}): ${printable(refusal)}`);
    return;
  }
  const { size, rows, hashesOnly, root, fault, faultCount, coverage } = report;
  const rowsText =
    hashesOnly === 0 ? count(rows) : `${count(rows)} of ${count(size)} rows (of the rest only hashes are here), `;
  printLine(
    `${isSound(outcome) ? 'sound' : 'FAULT'}  ${log}: ${hashesOnly === 0 ? `${rowsText} rows, ` : rowsText}root ${root.slice(0, 16)}…, ${outcome.keys?.hubFrom === 'none' ? 'receipts not checked' : receiptText(report)}`,
  );
  if (fault !== null) {
    const where = fault.index < 0 ? 'the log' : `row ${fault.index}`;
    printLine(
      `       first fault: ${where}: ${printable(fault.what)}${faultCount > 1 ? ` (${count(faultCount)} in all)` : ''}`,
    );
  }
  for (const { index, what } of coverage.faults) printLine(`       coverage: row ${index}: ${printable(what)}`);
  if (coverage.faultCount > coverage.faults.length) {
    printLine(`       coverage: ${count(coverage.faultCount - coverage.faults.length)} more`);
  }
  if (coverage.counters > 0) {
    const { counters, requests, refused, uncounted } = coverage;
    printLine(
      `       coverage: ${count(counters)} counter rows, ${count(requests)} requests, ${count(refused)} refused, ${count(uncounted)} rows not yet counted`,
    );
  }
}

function receiptText({ receipts, receiptedSize, receiptTimeS, size }: LogReport): string {
  if (receipts === 0) return 'no receipt';
  const all = receiptedSize === size ? 'all' : count(receiptedSize);
  return `${all} receipted${receiptTimeS === null ? '' : ` ${instant(receiptTimeS * 1000)}`}`;
}

function summarise(outcomes: readonly Outcome[]): void {
  const faulty = outcomes.filter((outcome) => !isSound(outcome)).length;
  const rows = outcomes.reduce((sum, { report }) => sum + (report?.rows ?? 0), 0);
  printLine(
    `\n${count(outcomes.length)} log${outcomes.length === 1 ? '' : 's'}, ${count(rows)} rows: ${faulty === 0 ? 'all sound' : `${count(faulty)} with faults`}`,
  );
  const notes = new Set(outcomes.flatMap(({ keys }) => (keys === undefined ? [] : [trustNote(keys)])));
  for (const note of notes) printLine(`note: ${note}`);
}

function outcomeJson(outcome: Outcome): object {
  const { log, place, report, refusal, keys } = outcome;
  return {
    log,
    place,
    sound: isSound(outcome),
    refusal,
    log_key_from: keys?.logFrom ?? null,
    hub_key_from: keys?.hubFrom ?? null,
    note: keys === undefined ? '' : trustNote(keys),
    report:
      report === undefined
        ? null
        : {
            origin: report.origin,
            size: report.size,
            root: report.root,
            rows: report.rows,
            hashes_only: report.hashesOnly,
            fault: report.fault,
            fault_count: report.faultCount,
            receipts: report.receipts,
            receipted_size: report.receiptedSize,
            receipted_at: report.receiptTimeS === null ? null : instant(report.receiptTimeS * 1000),
            coverage: {
              counters: report.coverage.counters,
              requests: report.coverage.requests,
              refused: report.coverage.refused,
              served_bytes: report.coverage.servedBytes,
              uncounted: report.coverage.uncounted,
              faults: report.coverage.faults,
              fault_count: report.coverage.faultCount,
            },
          },
  };
}
