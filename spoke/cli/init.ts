// `weir spoke init`: enrols this machine as one spoke of one unit and writes its configuration. Needs an invitation.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { readSpokeConfig } from '../config.ts';
import { npmRegistry, pipIndex } from '../io/client-settings.ts';
import { createIdentityStore } from '../io/identity-store.ts';
import { EXIT, printFields, printJson, settle } from './output.ts';
import { CONFIG_FILE, spokeHome } from './spoke-home.ts';

interface InitOptions {
  readonly home?: string;
  readonly name: string;
  readonly hub: string;
  readonly caPin: string;
  readonly tokenFile?: string;
  readonly site: string;
  readonly host: string;
  readonly port: string;
  readonly adminPort: string;
  readonly npmUpstream?: string;
  readonly pypiUpstream?: string;
  readonly replace?: boolean;
  readonly json?: boolean;
}

export function registerInit(spoke: Command): void {
  spoke
    .command('init')
    .description('enrol this machine as a spoke, with the invitation that `weir spoke invite` printed')
    .requiredOption('--name <spoke>', 'name that the invitation is for')
    .requiredOption('--hub <host:port>', "the hub's join address")
    .requiredOption('--ca-pin <sha256:…>', 'hash of the CA that the hub must present')
    .option('--token-file <file>', 'file with the join token (default: environment variable WEIR_JOIN_TOKEN)')
    .option('--home <dir>', 'where its state will live')
    .option('--site <site>', 'site label', 'default')
    .option('--host <address>', 'address that clients reach', '127.0.0.1')
    .option('--port <n>', 'registry port', '4873')
    .option('--admin-port <n>', 'admin port, loopback only', '4874')
    .option('--npm-upstream <url>', "registry behind npm clients (default: this machine's npm setting)")
    .option('--pypi-upstream <url>', "index behind pip clients (default: this machine's pip setting)")
    .option('--replace', 'give up the identity that is here; the invitation must allow it')
    .option('--json', 'machine-readable output')
    .action((options: InitOptions) => settle(options.json === true, () => init(options)));
}

async function init(options: InitOptions): Promise<number> {
  const home = spokeHome(options.home);
  const store = createIdentityStore(home);
  if (store.exists() && options.replace !== true) {
    const present = store.read();
    throw new WeirError('conflict', `${home} already is spoke ${present.spoke} of unit ${present.unit}`, {
      next: 'use another --home, or --replace with an invitation that replaces it',
    });
  }
  const token = readToken(options.tokenFile);
  const npm = options.npmUpstream ?? (await npmRegistry());
  const pypi = options.pypiUpstream ?? (await pipIndex(process.env));
  const text = JSON.stringify(
    {
      schema: 'weir.spoke/v1',
      name: options.name,
      site: options.site,
      listen: { host: options.host, port: Number(options.port) },
      admin: { host: '127.0.0.1', port: Number(options.adminPort) },
      // Filled in below: the hub tells where its federation port is.
      hub: ['pending:1'],
      upstreams: { npm: { url: npm }, pypi: { url: pypi } },
    },
    null,
    2,
  );
  // Everything that can be wrong is found before the token is spent.
  const draft = readSpokeConfig(text);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  // Loaded here alone: certificates and gRPC are half of what a command takes to start.
  const { joinHub } = await import('../io/join-hub.ts');
  const joined = await joinHub({
    address: options.hub,
    caPin: options.caPin,
    joinToken: token,
    spoke: options.name,
    site: options.site,
  });
  store.write(joined.identity);
  const config = { ...(JSON.parse(text) as object), hub: joined.federationAddresses };
  readSpokeConfig(JSON.stringify(config));
  writeDurably(join(home, CONFIG_FILE), `${JSON.stringify(config, null, 2)}\n`);
  const { unit, spoke, workspace, not_after_ms: notAfterMs } = joined.identity;
  if (options.json === true) {
    printJson({
      workspace,
      unit,
      spoke,
      home,
      hub: joined.federationAddresses,
      certificate_expires: new Date(notAfterMs).toISOString(),
    });
  } else {
    printFields([
      ['spoke', `${spoke} of unit ${unit}`],
      ['home', home],
      ['registries', `http://${draft.listen.host}:${draft.listen.port}/npm/ and /pypi/simple/`],
      ['next', `weir spoke run --home ${home}`],
    ]);
  }
  return EXIT.ok;
}

/** From a file or the environment, never from the command line: process lists are public. */
function readToken(file: string | undefined): string {
  const token = (file === undefined ? (process.env['WEIR_JOIN_TOKEN'] ?? '') : readFileSync(file, 'utf8')).trim();
  if (token === '') {
    throw new WeirError('invalid_argument', 'no join token was given', {
      next: 'put it into a file and name it with --token-file',
    });
  }
  return token;
}

function writeDurably(path: string, text: string): void {
  const temporary = `${path}.${process.pid}`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
