// The row's schema for those who do not read TypeScript: a JSON Schema file and a table in the documentation, both made
// from the one that the code applies, with a sentence on each field.

import { z } from 'zod';
import { rowSchema } from '@weir/shared/audit/row-schema.ts';

/** What each field means, by path; `[]` is an element of a list. */
const MEANINGS: Readonly<Record<string, string>> = {
  v: 'Version of this schema.',
  id: 'The row’s own name, a UUIDv7. A row that was recorded again in a later epoch keeps it.',
  log: 'Log id: `<unit>.<spoke>.<worker>.<epoch>`.',
  index: 'Position in the log, from 0, without gaps.',
  time: 'When it happened by the spoke’s clock: RFC 3339, UTC, milliseconds. Order is by index, not by time.',
  unit: 'The business unit. Equal to that of the log.',
  spoke: 'The spoke. Equal to that of the log.',
  site: 'Where the spoke runs, as its operator calls it; may be empty.',
  actor: 'Who asked.',
  'actor.id':
    'A pseudonym, `h:` and 32 hex digits; empty when nobody was identified. Whose it is only the hub knows, until that is erased.',
  'actor.kind': 'How they were identified, such as `token`.',
  request: 'What was asked for.',
  'request.ecosystem': 'Package URL type, such as `npm` or `pypi`; empty for events.',
  'request.registry': 'Name of the registry at this spoke.',
  'request.method': 'HTTP method; empty for events.',
  'request.route':
    'Kind of address: `metadata`, `artifact`, `sidecar`, `service`, `publish`, `unknown`, `unparsable`, `event`.',
  'request.client': 'The client as it names itself, shortened to a known word.',
  'request.target': 'File or service name; empty when there is none.',
  subject: 'The package that the row is about.',
  'subject.purl': 'Package URL; empty when the address names no package.',
  'subject.digest':
    'Digest of the artifact as the registry’s index gives it, `<algorithm>:<value>`; empty when unknown.',
  action: '`install`, `metadata`, `publish`, `admit`, `check`, `run`; `event` for what concerns the spoke itself.',
  level: 'The verdict: the highest effective level among `rules`.',
  floor_level: 'What the floor alone says.',
  overlay_level: 'What the unit’s overlay alone says.',
  mode: 'The unit’s mode at that moment.',
  enforced: 'Whether the level was acted on: a refusal in `block`, or an allow.',
  status: 'HTTP status sent; 0 for events.',
  outcome: 'What came of it in one word: `served`, `filtered`, `refused`, `unauthenticated`, …; of an event, its kind.',
  rules: 'The reasons.',
  'rules[].rule': 'The rule’s id.',
  'rules[].layer': 'Where the rule stands: the floor, the overlay, or the spoke itself.',
  'rules[].code': 'The finding in one word; its text is in the catalogue.',
  'rules[].level': 'Level of the rule.',
  'rules[].effective': 'Level after exceptions. Lower than `level` only if `exception` names one.',
  'rules[].exception': 'Id of the signed exception that lowered it; empty when none did.',
  'rules[].facts': 'What the rule saw: a JSON object, nested at most 8 deep.',
  exceptions: 'Ids of the exceptions that were applied.',
  hidden: 'Versions withheld from a metadata view, as far as they fit.',
  hidden_count: 'How many versions were withheld in truth.',
  bundle: 'Digest of the policy bundle in force; empty while none was.',
  input: 'Digest of the policy’s input; empty when no policy ran.',
  engine: 'Program and version that judged.',
  duration_us: 'Microseconds from request to row.',
  trace: 'W3C trace id, 32 hex digits; empty when there is none.',
  code: 'The request code that the client was told, derived from `id`; empty when it was told none.',
};

/** Rules that the code applies by functions, which a generator cannot see. */
const ADDITIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  log: { pattern: '^[a-z][a-z0-9-]{0,39}\\.[a-z][a-z0-9-]{0,39}\\.[a-z0-9-]{1,24}\\.[a-z0-9]{1,32}$' },
  time: { format: 'date-time', pattern: '^(?:19[7-9]|[2-9]\\d\\d)\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' },
  'rules[].facts': { type: 'object' },
};

export interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
}

/** JSON Schema 2020-12 of a row. Throws when a field has no meaning written down, or a meaning no field. */
export function rowJsonSchema(): JsonSchema {
  const unused = new Set(Object.keys(MEANINGS));
  const described = (schema: JsonSchema, path: string): JsonSchema => {
    const meaning = MEANINGS[path];
    unused.delete(path);
    if (meaning === undefined && path !== '' && !path.endsWith('[]')) throw new Error(`nobody says what ${path} means`);
    const { properties, items, ...rest } = schema;
    return {
      ...rest,
      ...ADDITIONS[path],
      ...(meaning === undefined ? {} : { description: meaning }),
      ...(items === undefined ? {} : { items: described(items, `${path}[]`) }),
      ...(properties === undefined
        ? {}
        : {
            properties: Object.fromEntries(
              Object.entries(properties).map(([name, of]) => [
                name,
                described(of, path === '' ? name : `${path}.${name}`),
              ]),
            ),
          }),
    };
  };
  const { $schema, ...generated } = z.toJSONSchema(rowSchema, { unrepresentable: 'any' });
  const schema = {
    $schema,
    title: 'Weir audit row, version 1',
    description:
      'One record of an audit log. The record is its bytes: canonical JSON (RFC 8785) of at most 16,384 bytes, and only that spelling of a row is one.',
    ...described(generated as JsonSchema, ''),
  };
  if (unused.size > 0) throw new Error(`no field is called ${[...unused].join(', ')}`);
  return schema;
}

/** A table of all fields in Markdown. */
export function rowFieldTable(): string {
  const lines = ['| field | form | meaning |', '|---|---|---|'];
  const list = (schema: JsonSchema, path: string): void => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const full = path === '' ? name : `${path}.${name}`;
      lines.push(`| \`${full}\` | ${formOf(field)} | ${field.description ?? ''} |`);
      list(field, full);
      if (field.items !== undefined) list(field.items, `${full}[]`);
    }
  };
  list(rowJsonSchema(), '');
  return lines.join('\n');
}

function formOf(field: JsonSchema): string {
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.enum !== undefined) return field.enum.map((word) => `\`${word}\``).join(', ');
  const { minimum, maximum } = field;
  if (field.type === 'integer')
    return maximum === Number.MAX_SAFE_INTEGER ? 'integer ≥ 0' : `integer ${minimum}–${maximum}`;
  if (field.type === 'array')
    return `list of ${field.items === undefined ? '' : formOf(field.items)}, at most ${field.maxItems}`;
  if (field.type !== 'string') return field.type ?? 'any';
  if (field.pattern === '^[ -~]*$') return `printable ASCII, ≤ ${field.maxLength}`;
  if (field.pattern !== undefined) return `\`${field.pattern.replaceAll('|', '\\|')}\``;
  return field.maxLength === undefined ? 'text' : `text, ${field.minLength ?? 0}–${field.maxLength}`;
}
