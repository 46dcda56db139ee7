// The self-test vectors of one bundle: every published document with the answer that the layer gives under the unit's own
// settings. Computed by the compiled module in the spokes' engine and by OPA over the sources, which must agree.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import type { PolicyScope, SourceFile } from '../store/policy-store.ts';
import { opaAnswers, wasmAnswers } from './evaluate.ts';
import { entrypointOf, libraryOf, openTree, sourcePaths, treeOf, type GateOptions } from './gates.ts';
import { vectorsUnder, type LayerVector } from './vectors.ts';

export interface SelftestRequest {
  readonly scope: PolicyScope;
  readonly module: Uint8Array;
  /** The published tree that the module was compiled from. */
  readonly files: readonly SourceFile[];
  /** For an overlay the floor tree that it was compiled with. */
  readonly floor: readonly SourceFile[];
  readonly settings: Settings;
  readonly documents: readonly { readonly name: string; readonly input: Json }[];
}

/** Throws `engine_failed` when module and OPA disagree on any document. */
export type MakeSelftests = (request: SelftestRequest) => Promise<readonly LayerVector[]>;

export function createSelftests(options: GateOptions): MakeSelftests {
  return async ({ scope, module, files, floor, settings, documents }) => {
    const library = scope.kind === 'floor' ? [] : libraryOf(floor);
    await using folder = await openTree(options, scope, treeOf(files), library);
    const entrypoint = entrypointOf(scope);
    return await vectorsUnder(settings, scope.kind, documents, {
      wasm: wasmAnswers(module, entrypoint, options.clock),
      opa: opaAnswers(folder, sourcePaths(scope), entrypoint),
    });
  };
}
