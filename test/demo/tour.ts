// `npm run demo`: the tour. A federation of its own in a temporary home, the real npm and the real pip, and a ✓ for each
// promise kept. Exits non-zero when one is not.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startFederation, type Federation } from '../../deploy/onprem/trial/federation.ts';
import { openTheatre, type Theatre } from './cast.ts';
import { createStage, StepFailed, type Cast } from './stage.ts';
import { STEPS } from './steps.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const USAGE = `npm run demo -- [options]

Shows the federation at work with the real npm and the real pip, in a temporary home of its own.

  --upstream local|machine   registries behind it: the tests' own, or what this machine's npm and pip use  (machine)
  --keep                     leave the temporary home behind and say where it is
  --json                     end with one JSON line
  --help                     this text
`;

interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
}

function print(text: string): void {
  process.stdout.write(text);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      upstream: { type: 'string', default: 'machine' },
      keep: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.upstream !== 'local' && values.upstream !== 'machine') {
    process.stderr.write(`weir: --upstream takes local or machine, not ${values.upstream}\n`);
    return 2;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'weir-tour-'));
  const results: StepResult[] = [];
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  let federation: Federation | undefined;
  let theatre: Theatre | undefined;
  try {
    theatre = await openTheatre(values.upstream);
    federation = await open(scratch, theatre);
    const cast = await findFresh(federation, theatre);
    const stage = createStage(federation, scratch, cast, print);
    for (const [index, step] of STEPS.entries()) {
      if (interrupted.signal.aborted) break;
      print(`\n${index + 1}. ${step.title}\n`);
      const started = performance.now();
      const ok = await step.run(stage).then(
        () => true,
        (thrown: unknown) => {
          print(`  ✗ ${thrown instanceof StepFailed || thrown instanceof Error ? thrown.message : String(thrown)}\n`);
          return false;
        },
      );
      if (ok) print('  ✓\n');
      results.push({ name: step.name, ok, ms: Math.round(performance.now() - started) });
    }
  } catch (thrown) {
    print(`✗ the tour could not begin: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  } finally {
    await federation?.stop();
    await theatre?.[Symbol.asyncDispose]();
    if (values.keep === true) print(`\nEverything is in ${scratch}\n`);
    else rmSync(scratch, { recursive: true, force: true });
  }
  const ok = results.length === STEPS.length && results.every((step) => step.ok);
  print(
    ok
      ? `\n✓ all ${results.length} steps\n`
      : `\n✗ ${results.filter((step) => step.ok).length} of ${STEPS.length} steps\n`,
  );
  if (values.json === true) print(`${JSON.stringify({ demo: 'tour', steps: results, ok })}\n`);
  return ok ? 0 : 1;
}

async function open(scratch: string, theatre: Theatre): Promise<Federation> {
  const [admin, federation, join_, payments, research] = await freePorts();
  const intel = join(scratch, 'intel.json');
  writeFileSync(intel, JSON.stringify(withRecords(theatre.cast)));
  return startFederation({
    home: join(scratch, 'weir'),
    ports: { admin, federation, join: join_, spokes: { payments, research } },
    npmUpstream: theatre.npmUpstream,
    pypiUpstream: theatre.pypiUpstream,
    intel,
    progress: (line) => print(`… ${line}\n`),
  });
}

/** The shipped samples and one record for each ecosystem that exists only in this tour. */
function withRecords({ malware, pipMalware }: Cast): unknown {
  const shipped = JSON.parse(readFileSync(join(ROOT, 'policies', 'intel', 'intel.json'), 'utf8')) as {
    malicious: { records: unknown[] };
  };
  return {
    ...shipped,
    malicious: {
      ...shipped.malicious,
      records: [...shipped.malicious.records, record('npm', malware), record('pypi', pipMalware)],
    },
  };
}

function record(ecosystem: string, { name, version }: Cast['malware']): unknown {
  return {
    id: `WEIR-TOUR-${ecosystem.toUpperCase()}`,
    ecosystem,
    name,
    versions: [version],
    ranges: [],
    withdrawn: false,
    summary: 'called malicious by the tour, and by nobody else',
  };
}

/** On real registries: the first well-known package whose newest version is inside the cooldown today. */
async function findFresh(federation: Federation, { cast, freshCandidates }: Theatre): Promise<Cast> {
  for (const name of freshCandidates) {
    const answer = (await federation
      .weir('check', `pkg:npm/${name}`, '--home', federation.spokeHome('payments'))
      .catch(readRefusal)) as {
      results?: readonly { reasons: readonly { rule: string }[]; allowed_instead: string }[];
    };
    const [result] = answer.results ?? [];
    if (result?.allowed_instead !== '' && result?.reasons.some(({ rule }) => rule === 'WEIR-AGE-001') === true)
      return { ...cast, fresh: name };
  }
  return cast;
}

/** `weir check` exits with 3 for what is refused, and prints its JSON all the same. */
function readRefusal(thrown: unknown): unknown {
  const text = thrown instanceof Error ? thrown.message : '';
  const start = text.indexOf('{');
  return start === -1 ? {} : (JSON.parse(text.slice(start)) as unknown);
}

/** Five ports; each spoke's next one has to be free too, so spokes get pairs. */
async function freePorts(): Promise<[number, number, number, number, number]> {
  const pair = async (): Promise<number> => {
    for (;;) {
      const port = await listenOnce(0);
      if (
        await listenOnce(port + 1).then(
          () => true,
          () => false,
        )
      )
        return port;
    }
  };
  return [await listenOnce(0), await listenOnce(0), await listenOnce(0), await pair(), await pair()];
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen({ host: '127.0.0.1', port }, () => {
      const { port: bound } = server.address() as AddressInfo;
      server.close(() => resolve(bound));
    });
  });
}

process.exitCode = await main();
