// The eight steps of the tour. Each shows real commands and their real output, and fails when what it promises is not so.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../federation/local-federation.ts';
import { weirJsonLines } from '../../deploy/onprem/trial/processes.ts';
import { TRIAL_UNITS } from '../../deploy/onprem/trial/units.ts';
import { offerForgeries } from './forgeries.ts';
import { codeIn, expect, type Stage, type Unit } from './stage.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Step {
  readonly name: string;
  readonly title: string;
  run(stage: Stage): Promise<void>;
}

export const STEPS: readonly Step[] = [
  { name: 'allowed', title: 'an allowed install', run: allowed },
  { name: 'refused', title: 'a refused install, and why', run: refused },
  { name: 'hidden', title: 'a version hidden by the cooldown', run: hidden },
  { name: 'overlay', title: 'an overlay tightens, and cannot loosen', run: overlay },
  { name: 'new-floor', title: 'a new floor while installs run', run: newFloor },
  { name: 'hub-killed', title: 'the hub is killed', run: hubKilled },
  { name: 'hub-back', title: 'the hub is back, and nothing was lost', run: hubBack },
  { name: 'forged-bundles', title: 'forged bundles', run: offerForgeries },
];

async function allowed(stage: Stage): Promise<void> {
  const { plain, pipPlain } = stage.cast;
  const npm = await stage.npm('payments', 'allowed', 'install', plain);
  expect(
    npm.code === 0 && existsSync(join(stage.scratch, 'allowed', 'node_modules', bareName(plain))),
    `npm to install ${plain}`,
    npm.output,
  );
  const pip = await stage.pip('payments', 'allowed-pip', 'install', pipPlain);
  expect(pip.code === 0, `pip to install ${pipPlain}`, pip.output);
}

async function refused(stage: Stage): Promise<void> {
  const { malware, pipMalware } = stage.cast;
  const npm = await stage.npm('payments', 'refused', 'install', `${malware.name}@${malware.version}`);
  expect(npm.code !== 0 && npm.output.includes('WEIR-MAL-001'), 'npm to print why it was refused', npm.output);
  expect(
    /allowed \d|Nearest allowed version/i.test(npm.output),
    'npm to print the nearest allowed version',
    npm.output,
  );
  const code = codeIn(npm.output);
  stage.codes.add(code);
  const pip = await stage.pip('payments', 'refused-pip', 'install', `${pipMalware.name}==${pipMalware.version}`);
  expect(pip.code !== 0 && /malicious/i.test(pip.output), 'pip to print why it was refused', pip.output);
  stage.codes.add(codeIn(pip.output));
  // The row reaches the hub a moment after the refusal reached the client.
  await until(async () => (await quiet(stage, 'why', code)) !== undefined, `the hub knows ${code}`);
  const why = await stage.weir('why', code);
  expect(
    why.code === 0 && why.output.includes(malware.name) && why.output.includes('WEIR-MAL-001'),
    'weir why to tell the story',
    why.output,
  );
}

async function hidden(stage: Stage): Promise<void> {
  const { fresh } = stage.cast;
  if (fresh === '') throw new Error('no package with a version inside the cooldown was found on the upstream');
  const npm = await stage.npm('payments', 'hidden', 'install', fresh);
  expect(npm.code === 0, `npm to install ${fresh}`, npm.output);
  expect(
    /Weir hid/.test(npm.output) && npm.output.includes('WEIR-AGE-001'),
    'npm to say in the same install what was hidden',
    npm.output,
  );
  const installed = JSON.parse(
    readFileSync(join(stage.scratch, 'hidden', 'node_modules', fresh, 'package.json'), 'utf8'),
  ) as { version: string };
  const check = (await stage.federation.weir(
    'check',
    `pkg:npm/${fresh}@${installed.version}`,
    '--home',
    stage.federation.spokeHome('payments'),
  )) as CheckAnswer;
  expect(
    ['allow', 'warn'].includes(check.results[0]?.level ?? ''),
    `the installed ${installed.version} to be an allowed version`,
    JSON.stringify(check),
  );
  stage.codes.add(codeIn(npm.output));
  stage.say(`✓ a plain install took ${fresh} ${installed.version}`);
}

async function overlay(stage: Stage): Promise<void> {
  const { scripted, malware } = stage.cast;
  const payments = await stage.npm('payments', 'overlay-payments', 'install', scripted);
  expect(
    payments.code !== 0 && payments.output.includes('WEIR-OV-PAYMENTS-001'),
    "payments' overlay to refuse an install script",
    payments.output,
  );
  stage.codes.add(codeIn(payments.output));
  const research = await stage.npm('research', 'overlay-research', 'install', scripted);
  expect(research.code === 0, 'research to get the same package', research.output);

  stage.say('An overlay that redefines the floor is refused at publishing:');
  const hostile = folder(stage, 'hostile-overlay', {
    'main.rego': 'package weir.floor.main\n\nresult := {"schema": input.schema, "findings": []}\n',
  });
  const publish = await stage.weir('overlay', 'publish', 'payments', hostile);
  expect(publish.code !== 0 && publish.output.includes('main.rego'), 'the gates to name the file', publish.output);

  stage.say('An overlay that finds nothing wrong with anything is accepted, and the floor still refuses:');
  const silent = folder(stage, 'silent-overlay', SILENT_OVERLAY);
  const accepted = await stage.weir('overlay', 'publish', 'payments', silent);
  expect(accepted.code === 0, 'the silent overlay to be published', accepted.output);
  await switched(stage, ['payments']);
  const still = await stage.npm('payments', 'overlay-silent', 'install', `${malware.name}@${malware.version}`);
  expect(still.code !== 0 && still.output.includes('WEIR-MAL-001'), 'the floor to refuse all the same', still.output);
  stage.codes.add(codeIn(still.output));
  const [unit] = TRIAL_UNITS;
  const restored = await stage.weir('overlay', 'publish', 'payments', join(ROOT, unit?.overlay ?? ''));
  expect(restored.code === 0, "payments' own overlay to be published again", restored.output);
  await switched(stage, ['payments']);
}

async function newFloor(stage: Stage): Promise<void> {
  const changed = join(stage.scratch, 'new-floor');
  cpSync(join(ROOT, 'policies'), changed, { recursive: true });
  const catalogue = join(changed, 'catalogue', 'en.json');
  const texts = JSON.parse(readFileSync(catalogue, 'utf8')) as Record<string, { title: string; detail: string }>;
  for (const text of Object.values(texts)) text.detail = `${text.detail.slice(0, 380)} (Floor of the tour.)`;
  writeFileSync(catalogue, `${JSON.stringify(texts, null, 2)}\n`);

  const stop = new AbortController();
  const loops = (['payments', 'research'] as const).map((unit) => keepAsking(stage, unit, stop.signal));
  const installs = Promise.all([
    stage.npm('payments', 'floor-1', 'install', stage.cast.plain),
    stage.npm('research', 'floor-2', 'install', stage.cast.plain),
  ]);
  const before = await versions(stage);
  const publish = await stage.weir('floor', 'publish', changed, '--note', 'texts of the tour');
  expect(publish.code === 0, 'the new floor to be published', publish.output);
  await switched(stage, ['payments', 'research']);
  const after = await versions(stage);
  for (const ran of await installs) expect(ran.code === 0, 'installs under way to succeed', ran.output);
  stop.abort();
  const asked = await Promise.all(loops);
  const failures = asked.flatMap(({ failures: list }) => list);
  expect(failures.length === 0, 'no request to fail while the floor changed', failures.join('\n'));
  stage.say(
    `✓ bundles ${before.payments} → ${after.payments} and ${before.research} → ${after.research}; ${asked.reduce((sum, { count }) => sum + count, 0)} requests meanwhile, none failed`,
  );
}

async function hubKilled(stage: Stage): Promise<void> {
  const { federation, cast } = stage;
  stage.say(`kill -9 ${federation.hub().pid}   # the hub`);
  federation.hub().kill('SIGKILL');
  await federation.hub().ended;
  const ok = await stage.npm('payments', 'dead-hub', 'install', cast.plain);
  expect(ok.code === 0, 'installs to go on', ok.output);
  const no = await stage.npm('payments', 'dead-hub-refused', 'install', `${cast.malware.name}@${cast.malware.version}`);
  expect(no.code !== 0 && no.output.includes('WEIR-MAL-001'), 'refusals to go on', no.output);
  stage.codes.add(codeIn(no.output));
  const why = await stage.weir('why', codeIn(no.output));
  expect(why.code === 0 && why.output.includes('WEIR-MAL-001'), 'the spoke to explain it without the hub', why.output);
  stage.say('The spoke of payments is restarted while the hub is dead:');
  federation.spoke('payments').kill('SIGTERM');
  await federation.spoke('payments').ended;
  await federation.startSpoke('payments');
  const again = await stage.npm(
    'payments',
    'dead-hub-restarted',
    'install',
    `${cast.malware.name}@${cast.malware.version}`,
  );
  expect(
    again.code !== 0 && again.output.includes('WEIR-MAL-001'),
    'the restarted spoke to enforce its last-known-good bundle',
    again.output,
  );
  stage.codes.add(codeIn(again.output));
}

async function hubBack(stage: Stage): Promise<void> {
  const { federation } = stage;
  await federation.startHub();
  await until(async () => {
    const statuses = await Promise.all((['payments', 'research'] as const).map((unit) => status(stage, unit)));
    return statuses.every(({ log }) => log.acknowledged >= log.nextIndex);
  }, 'the hub has every row');
  stage.say('$ npx weir audit query --json --all --oldest-first');
  const rows = await ledger(stage);
  const seen = new Map<string, number>();
  const logs = new Map<string, number[]>();
  for (const { row } of rows) {
    seen.set(row.id, (seen.get(row.id) ?? 0) + 1);
    logs.set(row.log, [...(logs.get(row.log) ?? []), row.index]);
  }
  expect(
    [...seen.values()].every((count) => count === 1),
    'no row twice',
  );
  for (const [log, indexes] of logs) {
    const sorted = indexes.toSorted((a, b) => a - b);
    expect(
      sorted.every((index, i) => index === i),
      `no gap in ${log}`,
      sorted.join(' '),
    );
  }
  for (const code of stage.codes) {
    const found = rows.filter(({ row }) => row.code === code).length;
    expect(found === 1, `code ${code} exactly once in the ledger, not ${found} times`);
  }
  for (const id of stage.rows) expect(seen.get(id) === 1, `row ${id} of a served artifact in the ledger`);
  stage.say(
    `✓ ${rows.length} rows in ${logs.size} logs without gap or double; all ${stage.codes.size} codes and ${stage.rows.size} served artifacts of this tour among them`,
  );
}

interface CheckAnswer {
  readonly results: readonly { readonly level: string }[];
}

interface LedgerRow {
  readonly row: { readonly id: string; readonly log: string; readonly index: number; readonly code: string };
}

async function ledger({ federation }: Stage): Promise<readonly LedgerRow[]> {
  const rows = await weirJsonLines(['audit', 'query', '--all', '--oldest-first'], federation.env);
  return rows as readonly LedgerRow[];
}

interface SpokeStatus {
  readonly bundle: { readonly version: number; readonly digest: string } | null;
  readonly log: { readonly nextIndex: number; readonly acknowledged: number };
}

async function status(stage: Stage, unit: Unit): Promise<SpokeStatus> {
  const port = stage.federation.options.ports.spokes[unit] + 1;
  const response = await fetch(`http://127.0.0.1:${port}/status`);
  return (await response.json()) as SpokeStatus;
}

async function versions(stage: Stage): Promise<Readonly<Record<Unit, number>>> {
  const [payments, research] = await Promise.all([status(stage, 'payments'), status(stage, 'research')]);
  return { payments: payments.bundle?.version ?? 0, research: research.bundle?.version ?? 0 };
}

/** Waits until the spokes run what the hub wants them to run. */
async function switched(stage: Stage, units: readonly Unit[]): Promise<void> {
  const wanted = (await stage.federation.weir('unit', 'list')) as {
    units: readonly { name: string; bundle: { digest: { value: string } | string } }[];
  };
  for (const unit of units) {
    const digest = wanted.units.find(({ name }) => name === unit)?.bundle.digest;
    const text = typeof digest === 'string' ? digest : digest?.value;
    await until(async () => (await status(stage, unit)).bundle?.digest === text, `${unit} switches to its new bundle`);
  }
}

/** Asks for one artifact over and over until told to stop; every answer must be whole and right. */
async function keepAsking(
  stage: Stage,
  unit: Unit,
  signal: AbortSignal,
): Promise<{ count: number; failures: string[] }> {
  const origin = stage.federation.registryUrl(unit);
  const name = bareName(stage.cast.plain);
  const failures: string[] = [];
  let count = 0;
  const packument = (await (await fetch(`${origin}/npm/${name}`)).json()) as {
    'dist-tags': { latest: string };
    versions: Record<string, { dist: { tarball: string } }>;
  };
  const tarball = packument.versions[packument['dist-tags'].latest]?.dist.tarball ?? '';
  while (!signal.aborted && count < 20_000) {
    for (const url of [`${origin}/npm/${name}`, tarball]) {
      const response = await fetch(url);
      await response.arrayBuffer();
      count += 1;
      const row = response.headers.get('x-weir-row');
      if (row !== null) stage.rows.add(row);
      if (!response.ok) failures.push(`${response.status} ${response.statusText} for ${url}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { count, failures };
}

/** A command's JSON, or undefined while it fails. */
async function quiet(stage: Stage, ...args: string[]): Promise<unknown> {
  return stage.federation.weir(...args).catch(() => undefined);
}

function bareName(spec: string): string {
  const at = spec.lastIndexOf('@');
  return at > 0 ? spec.slice(0, at) : spec;
}

function folder(stage: Stage, name: string, files: Readonly<Record<string, string>>): string {
  const root = join(stage.scratch, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** Passes every gate and objects to nothing. */
const SILENT_OVERLAY: Readonly<Record<string, string>> = {
  'main.rego': `# METADATA
# title: Overlay that objects to nothing
# description: Allows whatever the floor allows, and tries to allow the rest by silence.
package weir.overlay.payments

# METADATA
# description: No findings, whatever is asked.
# entrypoint: true
result := {"schema": input.schema, "findings": []} if input.schema == "weir.input/v1"
`,
  'main_test.rego': `package weir.overlay.payments_test

import data.weir.overlay.payments

test_silent if payments.result.findings == [] with input as {"schema": "weir.input/v1", "candidates": []}

test_other_schema_has_no_answer if not payments.result with input as {"schema": "other"}
`,
};
