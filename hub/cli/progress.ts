// How far a long command is, on stderr: a bar that is redrawn on a terminal, a plain line now and then elsewhere. Standard
// output stays for results.

import { printable } from './output.ts';

const BAR_CHARACTERS = 24;
const REDRAW_MS = 100;
/** Without a terminal: at most one line in this time. */
const LINE_MS = 5_000;

export interface Progress {
  /** `total` 0 when nobody knows it. */
  at(done: number, total: number, what?: string): void;
  /** Takes the bar off the terminal; call it before anything else is printed, and at the end. */
  clear(): void;
}

/** Where progress goes; a terminal is redrawn. */
export interface ProgressTarget {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export function createProgress(
  label: string,
  target: ProgressTarget = process.stderr,
  nowMs: () => number = () => performance.now(),
): Progress {
  const terminal = target.isTTY === true;
  const startedMs = nowMs();
  let shownMs = terminal ? Number.NEGATIVE_INFINITY : startedMs;
  let drawn = false;
  return {
    at(done, total, what = '') {
      const now = nowMs();
      if (now - shownMs < (terminal ? REDRAW_MS : LINE_MS)) return;
      shownMs = now;
      const text = describe(label, { done, total, what, elapsedMs: now - startedMs });
      if (!terminal) {
        target.write(`${text}\n`);
        return;
      }
      const line = `${total > 0 ? `${bar(done / total)} ` : ''}${text}`;
      target.write(`\r\u001b[K${line.slice(0, Math.max(20, (target.columns ?? 80) - 1))}`);
      drawn = true;
    },
    clear() {
      if (drawn) target.write('\r\u001b[K');
      drawn = false;
    },
  };
}

function describe(
  label: string,
  at: { readonly done: number; readonly total: number; readonly what: string; readonly elapsedMs: number },
): string {
  const { done, total, what, elapsedMs } = at;
  const rate = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0;
  const share = total > 0 ? ` of ${count(total)} (${Math.min(100, Math.floor((done / total) * 100))} %)` : '';
  const left = total > done && rate > 0 ? `, ${duration((total - done) / rate)} left` : '';
  const speed = rate >= 1 ? `, ${count(Math.round(rate))} a second` : '';
  return `${label}: ${count(done)}${share}${speed}${left}${what === '' ? '' : `  ${printable(what)}`}`;
}

function bar(share: number): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * BAR_CHARACTERS);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_CHARACTERS - full)}]`;
}

/** `1234567` as `1,234,567`. */
export function count(value: number | bigint): string {
  return value.toLocaleString('en-US');
}

/** Seconds as the largest two units: `2 d 3 h`, `5 min 2 s`. */
export function duration(seconds: number): string {
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ] as const;
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [name, size] of units) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0 && parts.length < 2) parts.push(`${whole} ${name}`);
    else if (parts.length > 0) break;
  }
  return parts.length === 0 ? '0 s' : parts.join(' ');
}
