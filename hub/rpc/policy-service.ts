// PolicyService: publishing floors, overlays, intel and exceptions, and reading what was published.

import type { PolicyService, SourceFile as WireFile } from '@weir/proto/weir/console/v1/console_pb.ts';
import { isDigest } from '@weir/shared/domain/digest.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { PolicyOutcome, Publisher } from '../bundle/publish.ts';
import type { BundleStore } from '../store/bundle-store.ts';
import type { PolicyScope, PolicyStore, SourceFile } from '../store/policy-store.ts';
import { encodeBundle, encodePolicyVersion, encodePublished, readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

const NOTE_CHARACTERS_MAX = 500;

export function policyService(parts: {
  readonly publisher: Publisher;
  readonly policies: PolicyStore;
  readonly bundles: BundleStore;
}): OperatorHandlers<typeof PolicyService> {
  const { publisher, policies, bundles } = parts;
  return {
    async publishFloor({ files, note, dryRun }, { operator }) {
      const outcome = await publisher.publishFloor({
        files: decodeFiles(files),
        note: readNote(note),
        dryRun,
        by: operator.name,
      });
      return {
        ...encodeOutcome(outcome),
        floorVersion: BigInt(outcome.version),
        bundles: outcome.bundles.map(encodePublished),
      };
    },
    async publishOverlay({ unit, files, note, dryRun }, { operator }) {
      const outcome = await publisher.publishOverlay(unit, {
        files: decodeFiles(files),
        note: readNote(note),
        dryRun,
        by: operator.name,
      });
      const [bundle] = outcome.bundles;
      return {
        ...encodeOutcome(outcome),
        overlayVersion: BigInt(outcome.version),
        ...(bundle === undefined ? {} : { bundle: encodePublished(bundle) }),
      };
    },
    async listFloors({ page }) {
      const { versions, nextCursor } = await policies.list({ kind: 'floor' }, readPage(page));
      return { floors: versions.map(encodePolicyVersion), nextCursor };
    },
    async getSources({ unit, version }) {
      const scope: PolicyScope = unit === '' ? { kind: 'floor' } : { kind: 'overlay', unit };
      const files = await policies.read(scope, Number(version));
      if (files === undefined) throw new WeirError('not_found', 'no such version was published');
      return { files: files.map(({ path, content }) => ({ path, content })) };
    },
    async publishIntel({ intel }, { operator }) {
      return { bundles: (await publisher.publishIntel(intel, operator.name)).map(encodePublished) };
    },
    async publishExceptions({ exceptions }, { operator }) {
      return { bundles: (await publisher.publishExceptions(exceptions, operator.name)).map(encodePublished) };
    },
    async listBundles({ unit, page }) {
      const { bundles: found, nextCursor } = await bundles.listBundles(unit, readPage(page));
      return { bundles: found.map(encodeBundle), nextCursor };
    },
    async getBundle({ digest }) {
      if (!isDigest(digest?.value))
        throw new WeirError('invalid_argument', 'the digest is not sha256: and 64 hex digits');
      const bundle = await bundles.bundleByDigest(digest.value);
      if (bundle === undefined)
        throw new WeirError('not_found', 'there is no such bundle', { next: 'see `weir bundle list`' });
      return { summary: encodeBundle(bundle), envelope: bundle.envelope };
    },
  };
}

function decodeFiles(files: readonly WireFile[]): readonly SourceFile[] {
  return files.map(({ path, content }) => ({ path, content }));
}

function readNote(note: string): string {
  if (note.length <= NOTE_CHARACTERS_MAX) return note;
  throw new WeirError('invalid_argument', `a note has at most ${NOTE_CHARACTERS_MAX} characters`);
}

function encodeOutcome({ published, findings }: PolicyOutcome) {
  return { published, findings: findings.map(({ gate, file, line, message }) => ({ gate, file, line, message })) };
}
