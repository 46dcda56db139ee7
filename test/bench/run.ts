// `npm run bench -- NAME… [--json] [--flag=value…]`: runs the named benchmarks (all when none is named). The last line of each is one JSON
// object; exits 1 when a benchmark could not run, not when an aim is missed: figures are to be read, not to break a build.

import { loadavg } from 'node:os';
import { BENCHES } from './benches.ts';

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const json = args.includes('--json');
  const names = args.filter((arg) => !arg.startsWith('--'));
  const flags = Object.fromEntries(
    args.flatMap((arg) => (/^--[a-z-]+=/.test(arg) ? [arg.slice(2).split(/=(.*)/s, 2) as [string, string]] : [])),
  );
  const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0) {
    process.stderr.write(`no benchmark named ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}\n`);
    return 2;
  }
  const output = json ? process.stderr : process.stdout;
  const print = (line: string): void => void output.write(`${line}\n`);
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    const bench = await BENCHES[name]?.();
    if (bench === undefined) continue;
    print(`# ${name}, load average ${loadNow()}`);
    const result = await bench.run({ print, flags });
    print(`load average ${loadNow()} at the end`);
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  return 0;
}

/** Whoever else uses the machine is part of the figures. */
function loadNow(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}

process.exitCode = await main();
