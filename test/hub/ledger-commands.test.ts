// Every command over the ledger, as people and as scripts run it: against a hub, with the hub gone, and with what is not in
// order. The hub, its database, the log and its keys are real; see `ledger-under-test.ts`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { refusedDraft, servedDraft } from '../audit/sample-rows.ts';
import { until } from '../audit/doubles.ts';
import { newReceiptKey } from '../audit/hub-ledger.ts';
import { quiet, testPostgres } from './database.ts';
import { ledgerUnderTest, LOG, type LedgerUnderTest, type Outcome, UNIT } from './ledger-under-test.ts';

const server = testPostgres();
const served = (count: number) => Array.from({ length: count }, () => servedDraft());

function done({ status, stdout, stderr }: Outcome): string {
  assert.equal(status, 0, stderr);
  return stdout;
}

function json(outcome: Outcome): unknown {
  return JSON.parse(done(outcome)) as unknown;
}

function lines(text: string): readonly string[] {
  return text.trimEnd().split('\n');
}

async function keysOf(under: LedgerUnderTest): Promise<{ readonly log: string; readonly hub: string }> {
  return {
    log: done(await under.weir('audit', 'key', '--log', LOG)).trim(),
    hub: done(await under.weir('audit', 'key')).trim(),
  };
}

test('rows are found, paged, printed and proven, with the hub and without it', async (t) => {
  const under = await ledgerUnderTest(t, server);
  const refused = refusedDraft();
  await under.record(...served(300), refused, ...served(20));

  await t.test('query: one row a line, as JSON, as CSV; a cursor goes on where the limit ended', async () => {
    const first = await under.weir('audit', 'query', '--limit', '200', '--oldest-first', '--json');
    const rows = lines(done(first)).map((line) => JSON.parse(line) as { index: number; leaf: string; flags: string[] });
    assert.equal(rows.length, 200);
    const { next_cursor: cursor } = JSON.parse(first.stderr) as { next_cursor: string };
    const rest = lines(
      done(await under.weir('audit', 'query', '--all', '--oldest-first', '--json', '--cursor', cursor)),
    );
    const indexes = [
      ...rows.map(({ index }) => index),
      ...rest.map((line) => (JSON.parse(line) as { index: number }).index),
    ];
    assert.deepEqual(
      indexes.toSorted((a, b) => a - b),
      Array.from({ length: 321 }, (_, index) => index),
    );

    const csv = lines(done(await under.weir('audit', 'query', '--csv', '--level', 'deny', '--unit', UNIT)));
    assert.deepEqual([csv.length, csv[0]?.split(',')[0]], [2, 'log']);
    assert.ok(csv[1]?.includes(refused.code));
    const found = done(
      await under.weir('audit', 'query', '--outcome', 'refused', '--from', '2h', '--rule', 'WEIR-AGE-001'),
    );
    assert.match(found, new RegExp(`deny .*refused .*payments/payments-1 .*WEIR-AGE-001 .*${refused.code}`));
    assert.equal(done(await under.weir('audit', 'query', '--purl', 'pkg:pypi/*')), 'no row matches\n');
    const ordered = lines(done(await under.weir('audit', 'query', '--log', LOG, '--limit', '3', '--json')));
    assert.deepEqual(
      ordered.map((line) => (JSON.parse(line) as { index: number }).index),
      [320, 319, 318],
    );
  });

  await t.test('why: the story, where the row stands, and how to prove it', async () => {
    const told = done(await under.weir('why', refused.code));
    assert.match(told, new RegExp(`record +row 300 of log ${LOG.replaceAll('.', '\\.')}`));
    assert.match(told, /kept +at the hub since .*, under its signed receipt/);
    assert.match(told, new RegExp(`weir audit prove ${refused.code}`));
    const value = json(await under.weir('why', refused.code, '--json')) as {
      log: string;
      index: number;
      receipted: boolean;
    };
    assert.deepEqual([value.log, value.index, value.receipted], [LOG, 300, true]);
  });

  const keys = await keysOf(under);
  const proof = join(under.folder, 'row.tlog-proof');
  await t.test('prove and check: by code, by place, by id; offline with public keys', async () => {
    done(await under.weir('audit', 'prove', refused.code, '--out', proof));
    const { stdout } = await under.weir('audit', 'prove', `${LOG}:300`);
    assert.equal(stdout, await readFile(proof, 'utf8'));
    const byId = json(await under.weir('audit', 'prove', refused.id, '--json')) as { index: number; size: number };
    assert.deepEqual([byId.index, byId.size], [300, 321]);
    const checked = json(
      await under.weir('audit', 'check', proof, '--key', keys.log, '--hub-key', keys.hub, '--json'),
    ) as { sound: boolean; index: number; row: { code: string } };
    assert.deepEqual([checked.sound, checked.index, checked.row.code], [true, 300, refused.code]);
    const spokeKey = json(await under.weir('audit', 'key', '--unit', UNIT, '--json')) as { spokes: { vkey: string }[] };
    assert.match(spokeKey.spokes[0]?.vkey ?? '', /^spoke\.trial\.weir\/payments\/payments-1\+/);
    assert.match(done(await under.weir('audit', 'key', '--log', LOG, '--binding')), /^weir-log-binding\/v1\n/);

    const text = await readFile(proof, 'utf8');
    const forged = join(under.folder, 'forged');
    await writeFile(forged, text.replace('index 300', 'index 299'));
    const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
      ['another place', [forged, '--key', keys.log], 1, /NOT SOUND/],
      ['another hub', [proof, '--key', keys.log, '--hub-key', newReceiptKey().vkey], 1, /has not receipted it/],
      ['no key', [proof], 2, /shows nothing without/],
      ["another log's key", [proof, '--key', keys.hub], 1, /none of the given keys/],
      ['no file', [join(under.folder, 'nowhere'), '--key', keys.log], 4, /cannot be read/],
      ['no proof', [join(under.spokeHome, 'spoke.json'), '--key', keys.log], 1, /not a row proof/],
      ['no key at all', [proof, '--key', 'x+y+z'], 2, /verifier key/],
    ];
    for (const [what, args, status, said] of cases) {
      const outcome = await under.weir('audit', 'check', ...args);
      assert.equal(outcome.status, status, `${what}: ${outcome.stdout}${outcome.stderr}`);
      assert.match(outcome.stdout + outcome.stderr, said, what);
    }
  });

  await t.test("verify: the hub's rows, the spoke's own log, with keys beside and keys given", async () => {
    const remote = json(await under.weir('audit', 'verify', '--log', LOG, '--json')) as {
      sound: boolean;
      logs: { log_key_from: string; report: { rows: number } }[];
    };
    assert.deepEqual([remote.sound, remote.logs[0]?.log_key_from, remote.logs[0]?.report.rows], [true, 'beside', 321]);
    const local = done(await under.weir('audit', 'verify', under.spokeHome, '--key', keys.log, '--hub-key', keys.hub));
    assert.match(local, /^sound .*321 rows.*all receipted/);
    assert.match(local, /1 log, 321 rows: all sound\nnote: the log's key was given\n/);
    assert.match(done(await under.weir('audit', 'fsck')), /1 log, 321 rows: every root derived again, all sound/);
  });

  await t.test('fleet list shows each log; spool what waits; no alarm is open', async () => {
    assert.match(done(await under.weir('fleet', 'list', '--logs')), /321 +321 +0 +\d{4}-.* ago\) +open +-/);
    const spool = json(await under.weir('audit', 'spool', '--home', under.spokeHome, '--json')) as {
      running: boolean;
      logs: { size: number; receipted: number }[];
    };
    assert.deepEqual(
      [spool.running, spool.logs.map(({ size, receipted }) => [size, receipted])],
      [false, [[321, 321]]],
    );
    assert.equal(done(await under.weir('audit', 'alarms')), 'no open alarm\n');
  });

  await under.closeLog();
  await under.stopHub();
  await t.test('with the hub gone the spokes of this machine answer', async () => {
    assert.match(done(await under.weir('why', refused.code)), /kept +at the spoke in .*, under its signed receipt/);
    const offline = join(under.folder, 'offline.tlog-proof');
    done(await under.weir('audit', 'prove', refused.code, '--out', offline));
    assert.match(done(await under.weir('audit', 'check', offline, '--key', keys.log, '--hub-key', keys.hub)), /^sound/);
    assert.match(done(await under.weir('audit', 'verify', under.spokeHome)), /all sound/);
    for (const args of [
      ['audit', 'query'],
      ['audit', 'tail'],
      ['audit', 'fsck'],
      ['audit', 'key'],
      ['audit', 'alarms'],
    ]) {
      const { status, stderr } = await under.weir(...args);
      assert.equal(status, 5, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, /does not answer/);
    }
    assert.equal((await under.weir('why', 'ZZZZZZZZ')).status, 5);
  });

  await t.test('a row that was changed on the spoke is named', async () => {
    const damaged = join(under.folder, 'damaged');
    await cp(under.spokeHome, damaged, { recursive: true });
    const folder = join(damaged, 'audit', 'w0', LOG.split('.').at(-1) ?? '');
    const segment = (await readdir(folder)).find((name) => name.endsWith('.seg')) ?? '';
    const bytes = await readFile(join(folder, segment));
    // Its checksum no longer holds: the row cannot be read, and the ones behind it still are.
    bytes.write('X', bytes.indexOf(`"code":"${refused.code}"`) + 8);
    await writeFile(join(folder, segment), bytes);
    const { status, stdout } = await under.weir('audit', 'verify', damaged, '--key', keys.log, '--json');
    const { logs } = JSON.parse(stdout) as { logs: { report: { fault: { index: number; what: string } } }[] };
    assert.equal(status, 1);
    assert.match(logs[0]?.report.fault.what ?? '', /row 300 cannot be read/);
  });
});

test('exports are whole, verifiable, and can be taken up again', async (t) => {
  const under = await ledgerUnderTest(t, server);
  await under.record(...served(600));
  const out = join(under.folder, 'native');
  done(await under.weir('audit', 'export', '--format', 'native', '--out', out));
  assert.match(done(await under.weir('audit', 'verify', out)), /1 log, 600 rows: all sound/);
  const again = await under.weir('audit', 'export', '--format', 'native', '--out', out);
  assert.deepEqual([again.status, /is not empty/.test(again.stderr)], [3, true]);

  await under.record(...served(30));
  const grown = json(await under.weir('audit', 'export', '--format', 'native', '--out', out, '--resume', '--json')) as {
    rows: number;
  };
  assert.equal(grown.rows, 630);
  assert.match(done(await under.weir('audit', 'verify', out)), /1 log, 630 rows: all sound/);
  const tiles = await readdir(join(out, 'logs', LOG, 'tile'), { recursive: true });
  assert.deepEqual(tiles.filter((path) => /\.p\/\d+$/.test(path)).toSorted(), [
    '0/002.p/118',
    '1/000.p/2',
    'entries/002.p/118',
  ]);

  await t.test('a changed row of an export is found and named', async () => {
    const bundle = join(out, 'logs', LOG, 'tile', 'entries', '001');
    const bytes = await readFile(bundle);
    const at = bytes.indexOf('"served"', 40_000);
    bytes.write('SERVED', at + 1);
    await writeFile(bundle, bytes);
    const { status, stdout } = await under.weir('audit', 'verify', out);
    assert.equal(status, 1);
    assert.match(stdout, /FAULT .*\n +first fault: row (2[5-9]\d|[34]\d\d|50\d|51[01]): /);
  });

  for (const [format, first] of [
    ['jsonl', /^\{"action":/],
    ['csv', /^log,index,/],
    ['ocsf', /^\{.*"class_uid"/],
    ['ecs', /^\{.*"@timestamp"/],
    ['cef', /^CEF:/],
  ] as const) {
    await t.test(`${format}: every row once, to a file and to a pipe`, async () => {
      const file = join(under.folder, `rows.${format}`);
      const { rows } = json(await under.weir('audit', 'export', '--format', format, '--out', file, '--json')) as {
        rows: number;
      };
      const text = await readFile(file, 'utf8');
      assert.equal(rows, 630);
      assert.equal(text.trimEnd().split('\n').length, format === 'csv' ? 631 : 630);
      assert.match(text, first);
      assert.equal(done(await under.weir('audit', 'export', '--format', format, '--out', '-')), text);
      assert.equal((await under.weir('audit', 'export', '--format', format, '--out', file)).status, 3);
    });
  }
  const { rows } = json(
    await under.weir('audit', 'export', '--format', 'parquet', '--out', join(under.folder, 'rows.parquet'), '--json'),
  ) as { rows: number };
  assert.equal(rows, 630);
  assert.equal((await readFile(join(under.folder, 'rows-00000.parquet'))).subarray(0, 4).toString(), 'PAR1');
});

test('a tail goes on over a restart of the hub: no row missing, none twice', async (t) => {
  const under = await ledgerUnderTest(t, server);
  await under.record(...served(5));
  const child = under.start('audit', 'tail', '--backlog', '3', '--json', '--count', '13');
  const ended = once(child, 'exit');
  let out = '';
  let notes = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (notes += chunk.toString()));
  const told = (): readonly number[] =>
    out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { index: number }).index);
  await until(() => told().length >= 3, `the backlog is told: ${notes}`);
  await under.record(...served(4));
  await until(() => told().length >= 7, `new rows are told: ${notes}`);
  await under.stopHub();
  await until(() => notes.includes('went away'), 'the follower notices');
  await under.startHub();
  await under.record(...served(6));
  const [status] = (await ended) as [number];
  assert.equal(status, 0, notes);
  assert.match(notes, /the hub is back; going on/);
  assert.deepEqual(
    told().toSorted((a, b) => a - b),
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
  );
});

test('what is wrong at the hub is named: rows, alarms with their evidence', async (t) => {
  const under = await ledgerUnderTest(t, server);
  await under.record(...served(300));
  const pool = createPool({ url: under.databaseUrl, logger: quiet, max: 1 });
  t.after(() => pool.end());
  await pool.query(
    `INSERT INTO audit_alarms (kind, unit, spoke, log, detail, held, offered) VALUES
     ('fork', $1, 'payments-1', $2, 'two histories', 'held note', 'offered note')`,
    [UNIT, LOG],
  );
  const evidence = join(under.folder, 'evidence');
  const listed = await under.weir('audit', 'alarms', 'list', '--evidence', evidence);
  assert.match(done(listed), /fork +payments +payments-1 .* open +two histories/);
  const [{ id } = { id: 0 }] = (json(await under.weir('audit', 'alarms', '--json')) as { alarms: { id: number }[] })
    .alarms;
  assert.equal(await readFile(join(evidence, `${id}-fork.held`), 'utf8'), 'held note');
  assert.equal(await readFile(join(evidence, `${id}-fork.offered`), 'utf8'), 'offered note');
  assert.match(done(await under.weir('fleet', 'list')), /ALARM: fork/);
  assert.match(done(await under.weir('audit', 'alarms', 'settle', String(id))), /is settled/);
  assert.equal((await under.weir('audit', 'alarms', 'settle', String(id))).status, 3);
  assert.equal((await under.weir('audit', 'alarms', 'settle', '999')).status, 4);
  assert.equal(done(await under.weir('audit', 'alarms')), 'no open alarm\n');
  assert.match(done(await under.weir('audit', 'alarms', 'list', '--all')), /settled by/);

  await pool.query(`UPDATE audit_rows SET row = convert_to(replace(convert_from(row, 'UTF8'), '"served"', '"SERVED"'), 'UTF8')
    WHERE log = '${LOG}' AND index = 123`);
  const fsck = await under.weir('audit', 'fsck');
  assert.equal(fsck.status, 1, fsck.stderr);
  assert.match(fsck.stdout, /FAULT .*\n +row 123: /);
  const verified = await under.weir('audit', 'verify', '--log', LOG);
  assert.equal(verified.status, 1);
  assert.match(verified.stdout, /first fault/);
});

test('a copy is told, verified, and brought back from', async (t) => {
  const under = await ledgerUnderTest(t, server, (folder) => ({
    audit: { copy: { every_s: 1, folder: join(folder, 'copy') } },
  }));
  await under.record(...served(600));
  const position = async () =>
    (
      json(await under.weir('audit', 'copy', '--json')) as {
        copies: { copied: number; verified: number; size: number }[];
      }
    ).copies[0];
  await until(async () => (await position())?.verified === 600, 'everything is copied');
  assert.match(
    done(await under.weir('audit', 'copy')),
    new RegExp(`folder:.* ${LOG.replaceAll('.', '\\.')} +600 +600 +600 +0 `),
  );
  const { log, hub } = await keysOf(under);
  assert.match(
    done(await under.weir('audit', 'verify', join(under.folder, 'copy'), '--key', log, '--hub-key', hub)),
    /1 log, 600 rows: all sound/,
  );

  const pool = createPool({ url: under.databaseUrl, logger: quiet, max: 1 });
  t.after(() => pool.end());
  await pool.query('DELETE FROM audit_rows WHERE index BETWEEN 100 AND 399');
  assert.equal((await under.weir('audit', 'fsck')).status, 1);
  const looked = json(await under.weir('audit', 'restore', '--dry-run', '--json')) as { added: number };
  assert.equal(looked.added, 300);
  assert.equal((await under.weir('audit', 'restore')).status, 2);
  assert.match(done(await under.weir('audit', 'restore', '--yes')), /300 of 600 rows added\n1 log, 300 rows added/);
  assert.match(done(await under.weir('audit', 'fsck')), /600 rows: every root derived again, all sound/);
});

test('what cannot be done is said with what to do next', async (t) => {
  const under = await ledgerUnderTest(t, server);
  await under.record(...served(2));
  await mkdir(join(under.folder, 'empty'));
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['audit', 'query', '--from', 'yesterday'], 2, /RFC 3339/],
    [['audit', 'query', '--level', 'maybe'], 2, /allow, warn, pending or deny/],
    [['audit', 'query', '--code', '!'], 2, /no request code/],
    [['audit', 'query', '--actor', 'jane'], 2, /needs the unit/],
    [['audit', 'query', '--actor', 'jane', '--unit', 'nowhere'], 2, /no unit/],
    [['audit', 'query', '--cursor', 'x'], 2, /begin again/],
    [['audit', 'query', '--csv', '--json'], 2, /choose one/],
    [['audit', 'query', '--all', '--limit', '1'], 2, /choose one/],
    [['audit', 'prove', 'what'], 2, /names no row/],
    [['audit', 'prove', 'ABCD1234'], 4, /no row has the request code/],
    [['audit', 'prove', `${LOG}:7`], 4, /has no row 7/],
    [['audit', 'prove', 'a.b.w0.e:7'], 4, /no log/],
    [['audit', 'verify'], 2, /say what to verify/],
    [['audit', 'verify', join(under.folder, 'nowhere')], 4, /no folder/],
    [['audit', 'verify', join(under.folder, 'empty')], 4, /no log in/],
    [['audit', 'verify', '--log', 'x'], 2, /a log is named/],
    [['audit', 'verify', '--log', 'a.b.w0.e'], 4, /no log/],
    [['audit', 'fsck', '--log', 'a.b.w0.e'], 4, /no log/],
    [['audit', 'export', '--format', 'xml', '--out', 'x'], 2, /Allowed choices/],
    [['audit', 'export', '--format', 'native', '--out', 'x', '--level', 'deny'], 2, /whole logs/],
    [['audit', 'export', '--format', 'parquet', '--out', '-'], 2, /written to files/],
    [['audit', 'key', '--binding'], 2, /name it with --log/],
    [['audit', 'erase', 'jane', '--unit', UNIT], 2, /Nobody can be asked here/],
    [['audit', 'erase', 'jane', '--unit', UNIT, '--yes'], 4, /nobody of that name/],
    [['audit', 'accept-damage', '--home', under.spokeHome], 4, /no audit log/],
    [['audit', 'spool', '--home', join(under.folder, 'nowhere')], 4, /no spoke in/],
  ];
  for (const [args, status, said] of cases) {
    const outcome = await under.weir(...args);
    assert.equal(outcome.status, status, `${args.join(' ')}: ${outcome.stdout}${outcome.stderr}`);
    assert.match(outcome.stderr, said, args.join(' '));
    assert.equal(outcome.stdout, '', args.join(' '));
  }
});
