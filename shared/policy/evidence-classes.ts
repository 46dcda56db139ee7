// Which candidates must be evaluated, and in which groups. Where no rule reads the version, all versions of a package with
// equal evidence get equal findings, so that one of them stands for all: a package with 3,000 versions often has a dozen classes.
// Groups are bounded, so that one evaluation stays within the memory and the deadline of an instance.

import type { EncodedInput } from './input-bytes.ts';

export const GROUP_LIMITS = {
  /** Candidates of one evaluation. */
  candidates: 256,
  /** Characters of one evaluation's candidates. */
  characters: 512 << 10,
} as const;

export interface Classes {
  /** For each candidate the number of its class. */
  readonly classOf: readonly number[];
  /** For each class the index of the candidate that stands for it. */
  readonly representatives: readonly number[];
}

/** @param readsVersion signed fact about the compiled layers; true gives every candidate a class of its own */
export function classesOf(encoded: EncodedInput, readsVersion: boolean): Classes {
  const { candidates, classes } = encoded;
  if (readsVersion || candidates.length === 1) {
    const each = candidates.map((_, i) => i);
    return { classOf: each, representatives: each };
  }
  // Numbers are given in the order in which classes appear, so a new one is always the next.
  const representatives: number[] = [];
  for (const [i, number] of classes.entries()) if (number === representatives.length) representatives.push(i);
  return { classOf: classes, representatives };
}

/** The representatives' texts cut into groups within `GROUP_LIMITS`, in order; an over-long text has a group to itself. */
export function groupsOf(texts: readonly string[]): readonly (readonly string[])[] {
  const groups: string[][] = [];
  let group: string[] = [];
  let characters = 0;
  for (const text of texts) {
    const full = group.length >= GROUP_LIMITS.candidates || characters + text.length > GROUP_LIMITS.characters;
    if (full && group.length > 0) {
      groups.push(group);
      group = [];
      characters = 0;
    }
    group.push(text);
    characters += text.length;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}
