// `weir why CODE`: the whole story behind a refusal, from the hub's ledger; with the hub away, from a spoke of this machine.

import type { Command } from 'commander';
import { AuditQueryService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { type Rules, rulesSchema } from '@weir/shared/bundle/layers.ts';
import type { AuditRow, RowRule } from '@weir/shared/audit/row.ts';
import { fullName, parsePurl } from '@weir/shared/domain/coordinate.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, type ConnectionOptions, withConnection } from './connection.ts';
import { instant, printable, printFields, printJson, printLine, settle } from './output.ts';
import { flagWords, rowOf } from './row-line.ts';

/** Looks a code up without the hub; undefined when nothing here knows it. */
export type WhyElsewhere = (code: string) => Promise<
  | {
      readonly row: AuditRow;
      readonly rules: Rules | undefined;
      /** Home of the spoke that has the row. */
      readonly from: string;
      /** Whether the hub has receipted the row, as far as that spoke knows. */
      readonly receipted: boolean | undefined;
    }
  | undefined
>;

/** Where a row stands in the ledger. */
interface Place {
  /** `hub`, or the home of a spoke. */
  readonly from: string;
  /** Undefined when nobody here can tell. */
  readonly receipted: boolean | undefined;
  readonly storedAtMs: number | undefined;
  readonly flags: readonly string[];
}

export function registerWhy(program: Command, elsewhere: WhyElsewhere): void {
  withConnection(
    program.command('why').description('explain a refusal by the code that it printed').argument('<code>'),
  ).action((code: string, options: ConnectionOptions) =>
    settle(options.json === true, async () => {
      const { row, rules, place } = await fromHub(code, options).catch(async (thrown: unknown) => {
        // The hub away, or without the row yet: the spoke that refused knows it as well.
        const found = await elsewhere(code);
        if (found === undefined) throw thrown;
        const { from, receipted } = found;
        return { ...found, place: { from, receipted, storedAtMs: undefined, flags: [] } };
      });
      if (options.json === true) {
        printJson({
          from: place.from,
          log: row.log,
          index: row.index,
          receipted: place.receipted ?? null,
          stored_at_ms: place.storedAtMs ?? null,
          flags: place.flags,
          row,
          reasons: row.rules.map((rule) => reason(rule, rules, subjectValues(row))),
        });
      } else tell(row, rules, place);
    }),
  );
}

async function fromHub(code: string, options: ConnectionOptions) {
  const client = (await connect(options))(AuditQueryService);
  const { row: stored, rules: bytes, receipted } = await client.why({ code });
  if (stored === undefined) throw new WeirError('not_found', `no row has the code ${code}`);
  const rules = bytes.byteLength === 0 ? undefined : rulesSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  const place: Place = {
    from: 'hub',
    receipted: stored.index < receipted,
    storedAtMs: Number(stored.storedAtMs),
    flags: stored.flags,
  };
  return { row: rowOf(stored), rules, place };
}

/** What is known of one rule's part in a decision. */
export function reason(rule: RowRule, rules: Rules | undefined, subject: SubjectValues) {
  const meta = rules?.rules.find(({ id }) => id === rule.rule);
  const text = rules?.texts[rule.code];
  return {
    ...rule,
    title: text?.title ?? meta?.title ?? rule.code,
    detail: fill(text?.detail ?? meta?.description ?? '', { ...rule.facts, ...subject }),
    solution: meta?.solution ?? '',
    override: meta?.override ?? 'none',
  };
}

function tell(row: AuditRow, rules: Rules | undefined, place: Place): void {
  printFields([
    ['code', row.code],
    ['time', [row.time, ...place.flags.map((flag) => `(${flagWords(flag)})`)].join(' ')],
    ['subject', row.subject.purl === '' ? row.request.target : row.subject.purl],
    ['asked for', `${row.action} by ${row.actor.kind} over ${row.request.ecosystem} (${row.request.client})`],
    ['unit', `${row.unit}, spoke ${row.spoke}${row.site === '' ? '' : `, site ${row.site}`}`],
    [
      'decision',
      `${row.level} (floor ${row.floor_level}, overlay ${row.overlay_level}), mode ${row.mode}, ${row.outcome}`,
    ],
    ['hidden', row.hidden_count === 0 ? '' : `${row.hidden_count} version(s): ${row.hidden.slice(0, 20).join(', ')}`],
    ['bundle', row.bundle],
    ['record', `row ${row.index} of log ${row.log}`],
    ['kept', keptText(place)],
  ]);
  for (const rule of row.rules) {
    const { title, detail, solution } = reason(rule, rules, subjectValues(row));
    const lowered =
      rule.effective === rule.level ? rule.level : `${rule.level}, lowered to ${rule.effective} by ${rule.exception}`;
    printLine(`\n${rule.rule} (${rule.layer}): ${printable(title)} → ${lowered}`);
    if (detail !== '') printLine(`  ${printable(detail)}`);
    if (solution !== '') printLine(`  what to do: ${printable(solution)}`);
  }
  if (row.rules.length === 0) printLine('\nno rule spoke: the outcome itself says why');
  printLine(`\nprove it: weir audit prove ${row.code} > row.tlog-proof`);
}

function keptText({ from, receipted, storedAtMs }: Place): string {
  const at = storedAtMs === undefined ? `at the spoke in ${from}` : `at the hub since ${instant(storedAtMs)}`;
  if (receipted === undefined) return at;
  return `${at}, ${receipted ? 'under its signed receipt' : 'not yet under a receipt of the hub'}`;
}

type SubjectValues = Readonly<Record<'name' | 'version' | 'subject' | 'purl', string>>;

/** What every text may name; of a package's own page there is no version. */
function subjectValues(row: AuditRow): SubjectValues {
  const subject = parsePurl(row.subject.purl);
  const name = subject === undefined ? row.subject.purl : fullName(subject);
  const version = subject?.version ?? '';
  return { name, version, subject: version === '' ? name : `${name}@${version}`, purl: row.subject.purl };
}

/** `{name}` placeholders from the facts; one that has no fact stays visible. */
function fill(template: string, facts: RowRule['facts']): string {
  return template.replaceAll(/\{([a-z0-9_]+)\}/g, (whole, name: string) => {
    const value = Object.hasOwn(facts, name) ? facts[name] : undefined;
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : whole;
  });
}
