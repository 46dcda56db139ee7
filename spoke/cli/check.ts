// `weir check <purl|lockfile>`: the verdict of an install without installing.

import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { CheckResult } from '../pipeline/check.ts';
import { purlsOfLockfile } from './lockfile.ts';
import { EXIT, printable, printJson, settle } from './output.ts';
import { askSpoke, knownSpokeHomes } from './spoke-home.ts';

/** Packages asked for at once. */
const AT_ONCE = 4;

export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('judge a package URL, or every entry of a lockfile, without installing anything')
    .argument('<purl|lockfile>', 'pkg:npm/name@version, pkg:pypi/name@version, package-lock.json or requirements.txt')
    .option('--home <dir>', 'home of the spoke that judges')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nExit status: 0 all allowed or warned, 3 something is refused or pending.')
    .action((subject: string, options: { home?: string; json?: boolean }) =>
      settle(options.json === true, async () => {
        const [home, ...others] = knownSpokeHomes(options.home);
        if (home === undefined || others.length > 0) {
          const found =
            home === undefined
              ? 'no spoke was found on this machine'
              : `there are ${others.length + 1} spokes on this machine`;
          throw new WeirError('invalid_argument', found, { next: 'name the one that should judge with --home DIR' });
        }
        const purls = subject.startsWith('pkg:') ? [subject] : readLockfile(subject);
        const results: CheckResult[] = [];
        for (let i = 0; i < purls.length; i += AT_ONCE) {
          const some = purls
            .slice(i, i + AT_ONCE)
            .map((purl) => askSpoke(home, '/check', { purl }) as Promise<CheckResult>);
          results.push(...(await Promise.all(some)));
          if (process.stderr.isTTY && purls.length > AT_ONCE)
            process.stderr.write(`\r${results.length} of ${purls.length} checked`);
        }
        if (process.stderr.isTTY && purls.length > AT_ONCE) process.stderr.write('\n');
        if (options.json === true) printJson({ results });
        else for (const result of results) print(result, purls.length === 1);
        return results.some(({ level }) => level === 'deny' || level === 'pending') ? EXIT.refused : EXIT.ok;
      }),
    );
}

function readLockfile(path: string): readonly string[] {
  if (!existsSync(path))
    throw new WeirError('not_found', `there is no file ${path}`, {
      next: 'give a package URL such as pkg:npm/left-pad@1.3.0, or a lockfile',
    });
  return purlsOfLockfile(path, readFileSync(path, 'utf8'));
}

function print(result: CheckResult, whole: boolean): void {
  const what = result.outcome === 'judged' ? result.level : result.outcome.replace('_', ' ');
  const instead = result.allowed_instead === '' ? '' : `, nearest allowed ${result.allowed_instead}`;
  const code = result.code === '' ? '' : `, code ${result.code}`;
  process.stdout.write(`${what.padEnd(8)} ${printable(`${result.purl}${instead}${code}`)}\n`);
  if (!whole && result.level === 'allow') return;
  for (const { rule, effective, detail } of result.reasons)
    process.stdout.write(`         ${effective.padEnd(7)} ${printable(`${rule}  ${detail}`)}\n`);
}
