// Options of the one-machine trial: every port and path can be set.

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface TrialOptions {
  readonly home: string;
  readonly adminPort: number;
  readonly federationPort: number;
  readonly joinPort: number;
  readonly paymentsPort: number;
  readonly researchPort: number;
  /** '' = whatever this machine's npm and pip use. */
  readonly npmUpstream: string;
  readonly pypiUpstream: string;
  readonly json: boolean;
  readonly help: boolean;
}

export const USAGE = `npm start -- [options]

Starts the whole federation on this machine: database, hub, and the spokes of two units.

  --home DIR             where all state lives            (WEIR_HOME, else .weir)
  --admin-port N         hub: operators and scripts       (7440)
  --federation-port N    hub: spokes, mutual TLS          (7443)
  --join-port N          hub: enrollment                  (7444)
  --payments-port N      registry port of unit payments   (4873; N+1 is its admin port)
  --research-port N      registry port of unit research   (4883; N+1 is its admin port)
  --npm-upstream URL     registry behind npm clients      (this machine's npm setting)
  --pypi-upstream URL    index behind pip clients         (this machine's pip setting)
  --json                 print the addresses as one JSON line instead of text
  --help                 this text

Ctrl-C stops everything; starting again resumes the same state. To begin anew, stop it and delete the home folder.
`;

/** @throws Error with a sentence for people */
export function readOptions(args: readonly string[], env: Readonly<Record<string, string | undefined>>): TrialOptions {
  const { values } = parseArgs({
    args: [...args],
    strict: true,
    options: {
      home: { type: 'string' },
      'admin-port': { type: 'string' },
      'federation-port': { type: 'string' },
      'join-port': { type: 'string' },
      'payments-port': { type: 'string' },
      'research-port': { type: 'string' },
      'npm-upstream': { type: 'string' },
      'pypi-upstream': { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const port = (
    name: 'admin-port' | 'federation-port' | 'join-port' | 'payments-port' | 'research-port',
    byDefault: number,
  ): number => {
    const text = values[name];
    if (text === undefined) return byDefault;
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1 || number > 65_534)
      throw new Error(`--${name} takes a port from 1 to 65534, not ${text}`);
    return number;
  };
  const homeText = values.home ?? env['WEIR_HOME'];
  return {
    home: resolve(homeText === undefined || homeText === '' ? '.weir' : homeText),
    adminPort: port('admin-port', 7440),
    federationPort: port('federation-port', 7443),
    joinPort: port('join-port', 7444),
    paymentsPort: port('payments-port', 4873),
    researchPort: port('research-port', 4883),
    npmUpstream: values['npm-upstream'] ?? '',
    pypiUpstream: values['pypi-upstream'] ?? '',
    json: values.json ?? false,
    help: values.help ?? false,
  };
}
