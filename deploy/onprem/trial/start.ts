// `npm start`: the whole federation on this machine, until Ctrl-C.

import { startFederation, type Federation } from './federation.ts';
import { readOptions, USAGE, type TrialOptions } from './options.ts';
import { prepareHome, requireFreePorts, takeHome } from './preflight.ts';
import { TrialError } from './processes.ts';

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
  const say = (line: string): void => void process.stderr.write(`… ${line}\n`);
  prepareHome(options.home);
  const release = takeHome(options.home);
  const stopping = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
  try {
    await requireFreePorts({
      '--admin-port': options.adminPort,
      '--federation-port': options.federationPort,
      '--join-port': options.joinPort,
      '--payments-port': options.paymentsPort,
      '--payments-port (its admin port is the next one)': options.paymentsPort + 1,
      '--research-port': options.researchPort,
      '--research-port (its admin port is the next one)': options.researchPort + 1,
    });
    const starting = startFederation({
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
    });
    const federation = await starting;
    process.stdout.write(options.json ? `${JSON.stringify(addresses(options))}\n` : banner(options));
    const reason = await Promise.race([
      stopping.then(() => 'asked to stop'),
      federation.hub().ended.then(() => 'hub'),
      federation.spoke('payments').ended.then(() => 'payments'),
      federation.spoke('research').ended.then(() => 'research'),
    ]);
    if (reason !== 'asked to stop') await tellLoss(federation, reason, stopping);
    say('stopping');
    await federation.stop();
    say('stopped; `npm start` resumes this state');
    return 0;
  } finally {
    release();
  }
}

/** One part ended by itself: the others go on, which is the point of a federation, but somebody should know. */
async function tellLoss(federation: Federation, name: string, stopping: Promise<void>): Promise<void> {
  const running = name === 'hub' ? federation.hub() : federation.spoke(name as 'payments' | 'research');
  process.stderr.write(
    name === 'hub'
      ? `! the hub has ended; the spokes keep enforcing from their last bundle. Its log: ${running.logFile}. Ctrl-C, then npm start, brings it back.\n`
      : `! the spoke of ${name} has ended. Its log: ${running.logFile}. Ctrl-C, then npm start, brings it back.\n`,
  );
  await stopping;
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

  npx weir audit tail            every decision as the hub receives it
  npx weir why CODE              the story behind a refusal
  npx weir fleet list            which spoke runs which bundle

Ctrl-C stops everything; npm start resumes. npm run demo is a guided tour.
`;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  if (!(thrown instanceof TrialError)) throw thrown;
  process.stderr.write(`weir: ${thrown.message}\n`);
  process.exitCode = 1;
}
