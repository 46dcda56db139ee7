// `npm start`: the whole federation on this machine, until Ctrl-C.

import { resolve as absolute } from 'node:path';
import { WeirError } from '../../../shared/errors/weir-error.ts';
import { startFederation, type Federation } from './federation.ts';
import { endLeftovers } from './leftovers.ts';
import { readOptions, USAGE, type TrialOptions } from './options.ts';
import { prepareHome, requireCompiler, requireFreePorts, takeHome } from './preflight.ts';
import { TrialError, type Running } from './processes.ts';

/** A start that was interrupted before everything ran. */
const EXIT_INTERRUPTED = 130;

async function main(): Promise<number> {
  let options: TrialOptions;
  try {
    options = readOptions(process.argv.slice(2), process.env);
  } catch (thrown) {
    process.stderr.write(`weir: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  prepareHome(options.home);
  const release = takeHome(options.home);
  try {
    return await run(options, stopSignal());
  } finally {
    release();
  }
}

async function run(options: TrialOptions, stopping: AbortSignal): Promise<number> {
  const left = await endLeftovers(options.home);
  if (left.length > 0) say(`stopped what an earlier run had left behind: ${left.join(', ')}`);
  requireCompiler(process.env);
  await requireFreePorts({
    '--admin-port': options.adminPort,
    '--federation-port': options.federationPort,
    '--join-port': options.joinPort,
    '--payments-port': options.paymentsPort,
    '--payments-port (its admin port is the next one)': options.paymentsPort + 1,
    '--research-port': options.researchPort,
    '--research-port (its admin port is the next one)': options.researchPort + 1,
  });
  let federation: Federation;
  try {
    federation = await startFederation({
      home: options.home,
      ports: {
        admin: options.adminPort,
        federation: options.federationPort,
        join: options.joinPort,
        spokes: { payments: options.paymentsPort, research: options.researchPort },
      },
      npmUpstream: options.npmUpstream,
      pypiUpstream: options.pypiUpstream,
      progress: say,
      signal: stopping,
    });
  } catch (thrown) {
    if (!stopping.aborted) throw thrown;
    say('stopped before everything ran; `npm start` goes on from here');
    return EXIT_INTERRUPTED;
  }
  process.stdout.write(options.json ? `${JSON.stringify(addresses(options))}\n` : banner(options));
  for (const part of [federation.hub(), federation.spoke('payments'), federation.spoke('research')])
    void part.ended.then(() => stopping.aborted || tellLoss(part));
  await aborted(stopping);
  say('stopping');
  await federation.stop();
  say('stopped; `npm start` resumes this state');
  return 0;
}

function say(line: string): void {
  process.stderr.write(`… ${line}\n`);
}

/** Aborts at the first signal that asks to stop. Npm passes on what the terminal has sent already: more mean nothing new. */
function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort());
  return stopping.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** One part ended by itself: the others go on, which is the point of a federation, but somebody should know. */
function tellLoss({ name, logFile }: Running): void {
  const meaning =
    name === 'hub' ? 'the hub has ended; the spokes keep enforcing from their last bundle' : `${name} has ended`;
  process.stderr.write(`! ${meaning}. Its log: ${logFile}. Ctrl-C, then npm start, brings it back.\n`);
}

function addresses(options: TrialOptions): Readonly<Record<string, string>> {
  return {
    hub: `http://127.0.0.1:${options.adminPort}`,
    payments: `http://127.0.0.1:${options.paymentsPort}`,
    research: `http://127.0.0.1:${options.researchPort}`,
    home: options.home,
  };
}

function banner(options: TrialOptions): string {
  const { hub = '', payments = '', research = '' } = addresses(options);
  // Commands look for a hub in .weir below the present folder.
  const weir = options.home === absolute('.weir') ? 'npx weir' : `WEIR_HOME=${options.home} npx weir`;
  return `
Weir is running.

  hub        ${hub}   policy, audit and fleet; state in ${options.home}
  payments   ${payments}   unit in mode block: what policy denies is refused
  research   ${research}   unit in mode warn: what policy denies is served and recorded

Point a client at payments (or research):

  npm   install --registry ${payments}/npm/ PACKAGE
  pnpm  add --registry ${payments}/npm/ PACKAGE
  yarn  config set npmRegistryServer ${payments}/npm/ && yarn config set unsafeHttpWhitelist --json '["127.0.0.1"]'
  pip   install --index-url ${payments}/pypi/simple/ PACKAGE
  uv    pip install --default-index ${payments}/pypi/simple/ PACKAGE

See what was decided:

  ${weir} audit tail            every decision as the hub receives it
  ${weir} why CODE              the story behind a refusal
  ${weir} fleet list            which spoke runs which bundle

Ctrl-C stops everything; npm start resumes. npm run demo is a guided tour.
`;
}

// Whoever read our words may go away (`npm start | head -1`); what was started must not be left alone for that.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
try {
  process.exitCode = await main();
} catch (thrown) {
  if (thrown instanceof TrialError) process.stderr.write(`weir: ${thrown.message}\n`);
  else if (thrown instanceof WeirError) process.stderr.write(`weir: ${thrown.message}: ${thrown.next}\n`);
  else throw thrown;
  process.exitCode = 1;
}
