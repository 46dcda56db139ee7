// Tables of the README, made from what they describe so that they cannot drift.

/** Fields of a rule's METADATA that the table shows. */
export interface RuleRow {
  readonly id: string;
  readonly title: string;
  readonly level: string;
  readonly effect: string;
  readonly override: string;
  readonly min_level: string;
  readonly max_exception_days: number;
}

export interface SignalRow {
  readonly id: string;
  readonly name: string;
  readonly lifecycle: string;
  readonly question: string;
}

export function ruleTable(rules: readonly RuleRow[]): string {
  return table(
    ['rule', 'what it says', 'up to', 'effect', 'exception by', 'down to', 'for at most'],
    rules
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .map((rule) =>
        rule.override === 'none'
          ? [rule.id, rule.title, rule.level, rule.effect, 'nobody', '', '']
          : [
              rule.id,
              rule.title,
              rule.level,
              rule.effect,
              rule.override,
              rule.min_level,
              `${rule.max_exception_days} days`,
            ],
      ),
  );
}

export function signalTable(signals: readonly SignalRow[]): string {
  return table(
    ['signal', 'key in `evidence`', 'question', 'state'],
    signals.map(({ id, name, question, lifecycle }) => [id, `\`${name}\``, question, lifecycle]),
  );
}

/** The document with the part between `<!-- name -->` and `<!-- /name -->` replaced. @throws Error when it has no such part */
export function withSection(document: string, name: string, content: string): string {
  const [open, close] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const start = document.indexOf(open);
  const end = document.indexOf(close);
  if (start < 0 || end < start) throw new Error(`the document has no section ${name}`);
  return `${document.slice(0, start + open.length)}${content}\n${document.slice(end)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
