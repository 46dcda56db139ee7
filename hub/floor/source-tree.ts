// A submitted policy tree: which files it may hold, how large it may be, and what each of its folders means. Nothing of it
// reaches a disk or a compiler before this has accepted every path.

import type { SourceFile } from '../store/policy-store.ts';
import type { GateFinding } from './gate-finding.ts';

export const TREE_LIMITS = {
  files: 2000,
  fileBytes: 1 << 20,
  treeBytes: 8 << 20,
  pathBytes: 200,
  depth: 12,
} as const;

export interface SourceTree {
  /** Rego without tests. */
  readonly rules: readonly SourceFile[];
  /** `*_test.rego`. */
  readonly tests: readonly SourceFile[];
  /** `catalogue/*.json`: texts by code. */
  readonly catalogue: readonly SourceFile[];
  /** `selftest/*.json`: input and expected output. */
  readonly selftest: readonly SourceFile[];
  /** `schema/*.json`: types of input and settings. */
  readonly schema: readonly SourceFile[];
}

/** Folders of a policy checkout that are no part of the floor: they are published by commands of their own. */
const NOT_FLOOR = /^(?:overlay|intel)\//;

/** The part of a policy checkout that `floor publish` sends. */
export function selectFloorFiles(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => !NOT_FLOOR.test(path) && partOf(path) !== undefined);
}

/** The part of an overlay's folder that `overlay publish` sends. */
export function selectOverlayFiles(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => partOf(path) !== undefined);
}

export function readTree(
  files: readonly SourceFile[],
):
  | { readonly ok: true; readonly tree: SourceTree }
  | { readonly ok: false; readonly findings: readonly GateFinding[] } {
  const findings: GateFinding[] = [];
  const object = (file: string, message: string): void =>
    void findings.push({ gate: 'source', file, line: 0, message });
  const parts: Record<keyof SourceTree, SourceFile[]> = {
    rules: [],
    tests: [],
    catalogue: [],
    selftest: [],
    schema: [],
  };
  const seen = new Set<string>();
  let total = 0;
  if (files.length > TREE_LIMITS.files) object('', `more than ${TREE_LIMITS.files} files`);
  for (const file of files.slice(0, TREE_LIMITS.files)) {
    const { path, content } = file;
    total += content.byteLength;
    const fault = pathFault(path);
    if (fault !== undefined) {
      object(printable(path), fault);
      continue;
    }
    // Folded, so that the tree means the same on every file system.
    if (seen.has(path.toLowerCase())) object(path, 'two files have this name');
    seen.add(path.toLowerCase());
    if (content.byteLength > TREE_LIMITS.fileBytes) object(path, `larger than ${TREE_LIMITS.fileBytes} bytes`);
    if (!isUtf8(content)) object(path, 'not utf-8 text');
    const part = partOf(path);
    if (part === undefined) object(path, 'not a kind of file that a policy consists of');
    else parts[part].push(file);
  }
  if (total > TREE_LIMITS.treeBytes) object('', `larger than ${TREE_LIMITS.treeBytes} bytes in total`);
  if (findings.length === 0 && parts.rules.length === 0) object('', 'no rego files');
  return findings.length > 0 ? { ok: false, findings } : { ok: true, tree: parts };
}

function partOf(path: string): keyof SourceTree | undefined {
  if (path.endsWith('_test.rego')) return 'tests';
  if (path.endsWith('.rego')) return 'rules';
  return /^(catalogue|selftest|schema)\/[^/]+\.json$/.exec(path)?.[1] as keyof SourceTree | undefined;
}

function pathFault(path: string): string | undefined {
  if (path.length > TREE_LIMITS.pathBytes) return 'path is too long';
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/.test(path)) {
    return 'path is not relative, or has characters other than letters, digits, "_", "-" and "."';
  }
  if (path.split('/').length > TREE_LIMITS.depth) return 'path is too deep';
  return undefined;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function printable(path: string): string {
  return path.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, TREE_LIMITS.pathBytes);
}
