// What a process has cost so far, as the system counts it. NaN where the system has no /proc.

import { readFileSync } from 'node:fs';

/** `utime` and `stime` in /proc are counted in hundredths of a second on Linux. */
const TICK_US = 10_000;

/** User and system time of all threads of a process, in microseconds. */
export function cpuUs(pid: number): number {
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Resident memory now and at its highest since `resetPeak`, in bytes. */
export function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  const status = read(`/proc/${pid}/status`);
  const kib = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? Number.NaN) * 1024;
  return { now: kib('VmRSS'), peak: kib('VmHWM') };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not Linux, or the process has ended: every figure out of it is NaN.
    return '';
  }
}
