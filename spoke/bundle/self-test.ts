// The bundle's own proof that this engine understands it: every signed vector must give exactly the signed answer.

import type { Selftest } from '@weir/shared/bundle/layers.ts';
import { BundleRefused } from '@weir/shared/bundle/refusal.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import type { Json } from '@weir/shared/domain/json.ts';

export type Ask = (
  layer: 'floor' | 'overlay',
  input: Json,
) => { readonly ok: true; readonly output: Json } | { readonly ok: false; readonly failure: string };

/** Throws `selftest_failed` naming the first vector that differs, and for a bundle that proves nothing of its layers. */
export function runSelftest(selftest: Selftest, hasOverlay: boolean, ask: Ask): void {
  for (const layer of hasOverlay ? (['floor', 'overlay'] as const) : (['floor'] as const)) {
    if (!selftest.vectors.some((vector) => vector.layer === layer)) {
      throw new BundleRefused('selftest_failed', `the bundle has no self-test vector for its ${layer}`);
    }
  }
  for (const { name, layer, input, output } of selftest.vectors) {
    const answer = ask(layer, input);
    if (!answer.ok) throw new BundleRefused('selftest_failed', `self-test ${name} of the ${layer}: ${answer.failure}`);
    if (canonicalJson(answer.output) !== canonicalJson(output)) {
      throw new BundleRefused('selftest_failed', `self-test ${name} of the ${layer} gives another answer`);
    }
  }
}
