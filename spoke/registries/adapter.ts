// The one interface of a registry dialect: data and pure functions. An adapter matches requests, reads metadata into
// releases, produces filtered views and renders refusals; it never sees a socket, a clock or a file.

import type { Coordinate, Ecosystem, PackageName } from '@weir/shared/domain/coordinate.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';

/** A request as parsed by `request/`: path still percent-encoded, mount prefix removed, header names lower-case. */
export interface RequestTarget {
  readonly method: string;
  /** Starts with '/', no query. */
  readonly path: string;
  /**
   * The path's segments, percent-decoded once and strictly by `request/`: never '', '.' or '..' (but for one last '' when
   * the path ends in '/'), no control character, backslash or '%'. A '/' occurs only inside npm's `@scope%2fname`, as
   * `@scope/name`. Adapters match on these and never decode on their own. Empty list for the mount itself.
   */
  readonly segments: readonly string[];
  /** Without '?', '' when absent. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** What to ask upstream for, relative to the configured base URL of the registry. */
export interface UpstreamRequest {
  /** Path relative to the upstream base (no leading '/'), already encoded; or an absolute URL taken from the index. */
  readonly path: string;
  readonly accept: string;
  readonly method?: 'GET' | 'POST';
}

export type Route =
  /** A package's index document in one representation (an adapter-defined name such as `full` or `abbreviated`). */
  | { readonly kind: 'metadata'; readonly name: PackageName; readonly representation: string; readonly detail: string }
  /** An artifact file. The version is what the adapter reads out of the file name, '' when it cannot tell. */
  | { readonly kind: 'artifact'; readonly coordinate: Coordinate; readonly file: string }
  /** A document bound to one artifact (PyPI `.metadata`, npm attestations): judged exactly as the artifact is. */
  | {
      readonly kind: 'sidecar';
      readonly coordinate: Coordinate;
      readonly file: string;
      readonly upstream: UpstreamRequest | null;
    }
  /** Something that names no package to install: ping, whoami, search, audit, index root, keys. */
  | { readonly kind: 'service'; readonly service: string; readonly detail: string }
  /** Clearly refused: publishing, unknown routes, names that cannot be parsed. */
  | {
      readonly kind: 'refused';
      readonly reason: 'publish' | 'unknown_route' | 'unparsable' | 'method';
      readonly detail: string;
    };

export interface ReleaseFile {
  readonly name: string;
  /** Absolute upstream URL, or relative to the metadata document; resolved and checked by `io`. */
  readonly url: string;
  /** Hex digests promised by the index. */
  readonly digests: { readonly sha512?: string; readonly sha256?: string; readonly sha1?: string };
  /** Bytes; null when the index does not say. */
  readonly size: number | null;
  /** Digest of the file's sidecar (PyPI `.metadata`, npm attestations): '' when there is one without, null when none. */
  readonly metadataSha256: string | null;
}

/** Facts of one version, as far as the index tells them. `undefined` = the index has no such field (unknown). */
export interface Release {
  readonly version: string;
  /** Unix seconds; null when unknown. */
  readonly publishedAt: number | null;
  readonly files: readonly ReleaseFile[];
  readonly withdrawn: { readonly state: 'yanked' | 'deprecated' | 'quarantined'; readonly reason: string } | null;
  /** SPDX expression or free text as the index has it; undefined = index does not carry licences; '' = declared empty. */
  readonly licence: string | undefined;
  /**
   * Kinds of code that runs at install: `preinstall`, `install`, `postinstall`, `prepare`, `node-gyp`; `setup.py` when the
   * release has a source archive, whose build runs code whatever its backend, even if a wheel lies beside it.
   */
  readonly installScripts: readonly string[] | undefined;
  /** 0 none, 1 provenance, 2 trusted publisher + provenance, 3 staged publish; undefined when the index cannot tell. */
  readonly trustRank: 0 | 1 | 2 | 3 | undefined;
}

export interface Releases {
  readonly name: PackageName;
  /** In document order. */
  readonly releases: readonly Release[];
  /** Unix seconds of the first version ever; null when unknown. */
  readonly firstPublishedAt: number | null;
  /** Dist-tags or the like; `latest` is what a plain install takes. */
  readonly tags: Readonly<Record<string, string>>;
  /** Whole-package state, e.g. PEP 792 quarantined. */
  readonly projectState: string;
  /** The adapter's own parsed form of the document, so that views and look-ups need no second parse; opaque to others. */
  readonly parsed?: unknown;
}

/** Upstream metadata bytes, decompressed. */
export interface MetadataDocument {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** URL it came from, for resolving relative links; never shown. */
  readonly baseUrl: string;
}

export interface HiddenVersion {
  readonly version: string;
  readonly code: RequestCode | '';
  readonly rule: string;
  /** One sentence from the catalogue. */
  readonly why: string;
  readonly notice: boolean;
}

/** A version that is served although policy has something to say about it, told to the developer who takes it. */
export interface AdvisedVersion {
  /** `would_refuse`: the unit's mode lets through what policy refuses. `warned`: policy itself only warns. */
  readonly kind: 'would_refuse' | 'warned';
  readonly version: string;
  readonly code: RequestCode | '';
  readonly rule: string;
  /** One sentence from the catalogue. */
  readonly why: string;
  /** Nearest version that policy lets through, '' when it has none or none is needed. */
  readonly allowedInstead: string;
}

export interface ViewContext {
  /** Base URL of this mount as the client sees it, e.g. `http://host:port/npm` (no trailing '/'). */
  readonly publicBase: string;
  /** As in the route. */
  readonly representation: string;
  readonly detail: string;
  /**
   * Versions to mark as withdrawn with a sentence of ours, where the client has such a mark (PyPI yank, npm deprecation);
   * absent or empty leaves upstream's word as it is. An upstream mark is never replaced. All resolvers avoid what is so
   * marked, so it is for versions that are refused. One that is hidden as well is left out, except where a mark keeps
   * everybody from taking it but those who name it exactly (PyPI): there it is listed, and they read why it is refused.
   */
  readonly flagged?: ReadonlyMap<string, string>;
}

export interface View {
  readonly contentType: string;
  readonly body: Buffer;
  /** Versions that the view still lists, document order. */
  readonly versions: readonly string[];
  /** Version a plain install takes after filtering, '' when none. */
  readonly preferred: string;
}

/** Everything a refusal says; already sanitised by `response/`. */
export interface Refusal {
  /** 401, 403, 404, 413, 502, 503, 504 … as the pipeline means it; an adapter may map it per the cheat sheet. */
  readonly status: number;
  /** ≤ 60 characters. */
  readonly title: string;
  /** One sentence: what, which rule, since when, what instead. */
  readonly detail: string;
  readonly code: RequestCode | '';
  readonly purl: string;
  readonly rules: readonly string[];
  readonly allowedInstead: string;
  /** Unix seconds at which time alone may lift it, null otherwise. */
  readonly retryAt: number | null;
  /** Where a person reads more or asks; '' when the spoke has no console URL. */
  readonly requestUrl: string;
  readonly bundle: string;
  /** Present when the credentials are what is wrong, whatever the status: none were sent, or those sent are not accepted. */
  readonly signIn?: 'missing' | 'rejected';
}

export interface ClientReply {
  readonly status: number;
  /** Printable ASCII, ≤ 100 characters. */
  readonly reasonPhrase: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** What a service request (ping, whoami, search, audit, keys, index root) comes with. */
export interface ServiceRequest {
  readonly target: RequestTarget;
  /** Bytes as received, still content-encoded; empty for GET. The listener has capped it at `SERVICE_BODY_BYTES_MAX`. */
  readonly body: Uint8Array;
  /** Name of the actor as shown to the actor, e.g. a token id. */
  readonly actor: string;
  /** Base URL of this mount as the client sees it (no trailing '/'). */
  readonly publicBase: string;
  /** Whether a name is one of the unit's own: such names never leave for upstream. */
  readonly isInternal: (name: PackageName) => boolean;
}

/** Most bytes of a request body that any service route reads. */
export const SERVICE_BODY_BYTES_MAX = 8 << 20;

/** A package version that this spoke refuses, with its text, for answers that list such versions. */
export interface RefusedSubject {
  readonly coordinate: Coordinate;
  readonly rule: string;
  readonly title: string;
  readonly detail: string;
}

export type ServiceAnswer =
  | { readonly kind: 'reply'; readonly reply: ClientReply }
  /** Ask upstream; on 200 the client gets what `answer` makes of the body, on anything else the upstream's failure. */
  | { readonly kind: 'forward'; readonly upstream: UpstreamRequest; readonly answer: (body: Uint8Array) => ClientReply }
  /** Judge these first, then answer with those that are refused. */
  | {
      readonly kind: 'judge';
      readonly subjects: readonly Coordinate[];
      readonly answer: (refused: readonly RefusedSubject[]) => ClientReply;
    };

export interface Abilities {
  readonly publishTime: boolean;
  readonly perVersionMetadata: boolean;
  readonly provenance: boolean;
  readonly withdrawn: boolean;
  readonly installHooks: boolean;
  readonly successNotice: boolean;
}

export interface Adapter {
  readonly id: string;
  readonly ecosystem: Ecosystem;
  /** First path segment, e.g. `npm`. */
  readonly mount: string;
  readonly abilities: Abilities;
  /** Total: never throws, never returns undefined; what it does not know is `refused`. */
  match(target: RequestTarget): Route;
  /** A root-level path (no mount) that clients of this registry are known to send; undefined for all others. */
  matchAtRoot?(target: RequestTarget): Route | undefined;
  /** The registry's own normalisation; undefined when the text is no valid name. */
  normalizeName(text: string): PackageName | undefined;
  /** Where the package's index document is, and in which form to ask for it. */
  metadataRequest(name: PackageName): UpstreamRequest;
  /** @throws WeirError `upstream_failed` when the document is not what the registry's protocol promises. */
  readMetadata(document: MetadataDocument, name: PackageName): Releases;
  /**
   * The document without the hidden versions, links rewritten to `publicBase`; everything else survives. When all versions
   * are hidden all are shown: an empty document tells nobody why, a refused artifact does.
   * @throws WeirError for a representation of one version: `not_found` when there is none such, `forbidden` (with
   * `detail.version`) when it is hidden; `upstream_failed` when the document cannot be rendered
   */
  renderView(document: MetadataDocument, releases: Releases, hidden: ReadonlySet<string>, context: ViewContext): View;
  /**
   * Headers that tell the developer on success what was hidden (empty when the client has no such channel). They replace
   * headers of the same name: a client that caches a view shows its notice never again, so `cache-control` is among them.
   */
  notice(
    hidden: readonly HiddenVersion[],
    preferred: string,
    name: PackageName,
  ): readonly (readonly [string, string])[];
  /**
   * A page in place of a refused index document, for clients that keep a refused page's reason to themselves: it lists one
   * file that nobody has, so that the client asks for it and is refused again where it listens. Undefined (or no such
   * member): the document itself is refused.
   */
  standIn?(name: PackageName, refusal: Refusal, client: string, context: ViewContext): View | undefined;
  /** As `notice`, on a served artifact: what policy has to say about the very version that is being installed. */
  advice(advised: AdvisedVersion, name: PackageName, client: string): readonly (readonly [string, string])[];
  /**
   * Finds the file a route asks for; undefined when the index does not list it. The version to judge is the found
   * release's own, never the one read out of the file name.
   */
  findFile(
    releases: Releases,
    route: Extract<Route, { kind: 'artifact' | 'sidecar' }>,
  ): { release: Release; file: ReleaseFile } | undefined;
  /** The small document in which an artifact describes itself, where the registry serves one beside it. */
  coreMetadataFile?(file: ReleaseFile): ReleaseFile | undefined;
  /** Reads that document; total. `licence` is '' when it declares none, undefined when the bytes are no such document. */
  readCoreMetadata?(bytes: Uint8Array): { readonly licence: string | undefined };
  /** Order of versions for "nearest allowed": negative when a < b. */
  compareVersions(a: string, b: string): number;
  /** Content type of an artifact by file name. */
  artifactContentType(file: string): string;
  /**
   * Answers a `service` route. Pure; never contacts anything itself.
   * @throws WeirError `unparsable`, `too_large` or `upstream_failed`
   */
  answerService(route: Extract<Route, { kind: 'service' }>, request: ServiceRequest): ServiceAnswer;
  renderRefusal(refusal: Refusal, client: string): ClientReply;
  /** Client family from the User-Agent: npm, pnpm, yarn, pip, uv, other. */
  clientFamily(userAgent: string): string;
}
