// A package's index document: judged whole in one evaluation, then shown without the versions that policy hides. What is
// hidden here is refused at the artifact too, because both take their verdict from `judge`.

import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import { fullName, purl } from '@weir/shared/domain/coordinate.ts';
import { join, rank, type Level } from '@weir/shared/domain/level.ts';
import type { Reason, Verdict } from '@weir/shared/domain/verdict.ts';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { HOST_RULES } from '@weir/shared/policy/host-reasons.ts';
import { VERDICT_CACHE_LIMITS } from '../decision/verdict-cache.ts';
import type { ClientReply, HiddenVersion, Route, View } from '../registries/adapter.ts';
import { isNotModified } from '../response/conditional.ts';
import { nearestAllowed } from '../response/nearest-allowed.ts';
import { viewCacheControl, viewEtag } from '../response/etag.ts';
import { hiddenVersion, viewEffect } from '../response/refusal.ts';
import { staleWarning } from '../response/stale-warning.ts';
import type { Answer, KnownExchange, Standing } from './exchange.ts';
import { UNJUDGED } from './exchange.ts';
import { actorClass, asListed, judge, judgeName } from './judge.ts';
import { notFound, refusedByPolicy } from './refuse.ts';
import type { ActivePolicy, FoundDocument, PipelinePorts } from './ports.ts';

/** Bytes of rendered views kept per active bundle. */
const VIEW_BYTES_MAX = 128 << 20;
/** Distinct reasons that a view's row tells of. */
const VIEW_REASONS_MAX = 20;
/** Bodies below this are not worth compressing. */
const COMPRESS_BYTES_MIN = 1024;

type Encoding = '' | 'br' | 'gzip';
const NOTHING = Buffer.alloc(0);

const gzipAsync = promisify(gzip);
const brotliAsync = promisify(brotliCompress);

type MetadataRoute = Extract<Route, { kind: 'metadata' }>;

interface PreparedView {
  /** Under which it is kept. */
  readonly key: string;
  readonly view: View;
  readonly etag: string;
  readonly validUntil: number | null;
  /** Unix seconds; evidence such as an age moves on unnoticed, so nothing is kept for long. */
  readonly preparedAt: number;
  readonly usableUntil: number;
  /** Kept from whoever does not name it exactly, document order. */
  readonly hidden: readonly HiddenVersion[];
  readonly summary: Pick<Answer, 'level' | 'floorLevel' | 'overlayLevel' | 'reasons' | 'exceptions' | 'input'>;
  /** By coding; promised while it is being compressed. */
  readonly encoded: Map<string, Buffer | Promise<Buffer>>;
}

type Views = LRUCache<string, PreparedView>;

/** One version was asked for by name, and policy withholds it. */
interface Withheld {
  readonly verdict: Verdict;
  readonly version: string;
  readonly allowedInstead: string;
}

export interface MetadataRouteHandler {
  answer(exchange: KnownExchange, route: MetadataRoute): Promise<Answer>;
}

export function createMetadataRoute(ports: PipelinePorts): MetadataRouteHandler {
  const views = new WeakMap<ActivePolicy, Views>();

  function viewsOf(policy: ActivePolicy): Views {
    const existing = views.get(policy);
    if (existing !== undefined) return existing;
    const made = new LRUCache<string, PreparedView>({
      maxSize: VIEW_BYTES_MAX,
      sizeCalculation: ({ view }) => Math.max(1, view.body.length),
    });
    views.set(policy, made);
    return made;
  }

  function prepare(exchange: KnownExchange, route: MetadataRoute, found: FoundDocument): PreparedView | Withheld {
    const { adapter, policy, publicBase } = exchange;
    const now = Math.floor(exchange.atMs / 1000);
    const actor = actorClass(exchange);
    const key = JSON.stringify([
      adapter.id,
      found.digest,
      fullName(route.name),
      route.representation,
      route.detail,
      publicBase,
      actor,
      exchange.staleness,
    ]);
    const cache = viewsOf(policy);
    const known = cache.get(key);
    if (known !== undefined && isUsable(known, now)) return known;

    const { releases } = found;
    const verdicts = judge(ports, exchange, 'metadata', releases, releases.releases.map(asListed));
    const refused: { readonly verdict: Verdict; readonly version: string }[] = [];
    const withheld: HiddenVersion[] = [];
    let validUntil: number | null = null;
    for (const [i, verdict] of verdicts.entries()) {
      const version = releases.releases[i]?.version ?? '';
      if (verdict.valid_until !== null) validUntil = Math.min(validUntil ?? verdict.valid_until, verdict.valid_until);
      if (rank(verdict.level) < rank('pending')) continue;
      refused.push({ verdict, version });
      if (policy.settings.mode === 'block' && viewEffect(verdict) !== 'show') {
        withheld.push(hiddenVersion(verdict, policy.rules, { ...route.name, version }, exchange.code));
      }
    }
    // With nothing left to choose from a client could only say "no such version"; shown, the artifact's refusal explains.
    const hidden = withheld.length === releases.releases.length ? [] : withheld;
    let view: View;
    try {
      view = adapter.renderView(found.document, releases, new Set(hidden.map(({ version }) => version)), {
        publicBase,
        representation: route.representation,
        detail: route.detail,
        flagged: new Map(
          hidden.filter(({ notice }) => notice).map(({ version, why, rule }) => [version, `${why} (${rule})`]),
        ),
      });
    } catch (thrown) {
      const named = thrown instanceof WeirError && thrown.code === 'forbidden' ? thrown.detail['version'] : undefined;
      const refusal = refused.find(({ version }) => version === named);
      if (refusal === undefined) throw thrown;
      const judgedVersions = verdicts.map(({ level }, i) => ({ version: releases.releases[i]?.version ?? '', level }));
      return {
        ...refusal,
        allowedInstead: nearestAllowed(
          refusal.version,
          judgedVersions.filter(({ version }) => version !== ''),
          (a, b) => adapter.compareVersions(a, b),
        ),
      };
    }
    const prepared: PreparedView = {
      key,
      view,
      validUntil,
      preparedAt: now,
      usableUntil: Math.min(validUntil ?? Number.POSITIVE_INFINITY, now + VERDICT_CACHE_LIMITS.maxAgeS),
      hidden,
      summary: summarise(refused, verdicts[0]?.input ?? ''),
      encoded: new Map(),
      etag: viewEtag({
        upstream: found.digest,
        representation: route.representation,
        detail: route.detail,
        publicBase,
        bundle: policy.digest,
        actor: createHash('sha256').update(actor).digest('hex'),
        stance: `${policy.settings.mode} ${exchange.staleness}`,
        validUntil,
      }),
    };
    if (!verdicts.some(isPassing)) cache.set(key, prepared);
    return prepared;
  }

  return {
    async answer(exchange, route) {
      const { adapter, policy } = exchange;
      const subject = { ...route.name, version: '' };
      const early = judgeName(ports, exchange, 'metadata', route.name);
      if (early !== undefined && rank(early.level) >= rank('pending') && policy.settings.mode === 'block') {
        return refusedByPolicy(ports.facts, exchange, early, subject, '', 'metadata', { file: '', digest: '' });
      }
      const found = await ports.metadata.read(adapter, route.name, exchange.signal);
      if (found.kind === 'not_found') {
        return notFound(exchange, subject, 'metadata', `The upstream registry has no package ${fullName(route.name)}.`);
      }
      let prepared: PreparedView | Withheld;
      try {
        prepared = prepare(exchange, route, found);
      } catch (thrown) {
        const error = asWeirError(thrown, 'internal', 'the index document could not be shown');
        if (error.code !== 'not_found') throw error;
        const detail = `${fullName(route.name)} has no version ${route.detail} here.`;
        return notFound(exchange, { ...subject, version: '' }, 'metadata', detail);
      }
      if ('verdict' in prepared) {
        const { verdict, version, allowedInstead } = prepared;
        const row = { file: version, digest: found.digest };
        const named = { ...subject, version };
        return refusedByPolicy(ports.facts, exchange, verdict, named, allowedInstead, 'metadata', row);
      }
      const { reply, encoding } = await replyWith(exchange, route, prepared, found.stale);
      const standing =
        found.stale || early !== undefined
          ? undefined
          : viewStanding(viewsOf(policy), found.isCurrent, prepared, encoding, reply);
      const noticed = prepared.hidden.some(({ notice }) => notice);
      return {
        ...prepared.summary,
        reply: { kind: 'bytes', reply },
        outcome: `${prepared.hidden.length > 0 ? 'filtered' : 'served'}${found.stale ? '_stale' : ''}`,
        action: 'metadata',
        purl: purl(route.name),
        digest: found.digest,
        // What is refused and still listed is refused at its artifact.
        enforced: policy.settings.mode === 'block' || rank(prepared.summary.level) < rank('pending'),
        hidden: prepared.hidden.map(({ version }) => version),
        coded: noticed,
        file: prepared.view.preferred,
        ...(standing === undefined ? {} : { standing }),
      };
    },
  };
}

async function replyWith(
  exchange: KnownExchange,
  route: MetadataRoute,
  prepared: PreparedView,
  stale: boolean,
): Promise<{ readonly reply: ClientReply; readonly encoding: Encoding }> {
  const { adapter, target } = exchange;
  const told = prepared.hidden.map((version) => ({ ...version, code: exchange.code }));
  const notice = adapter.notice(told, prepared.view.preferred, route.name);
  const now = Math.floor(exchange.atMs / 1000);
  const encoding =
    prepared.view.body.length < COMPRESS_BYTES_MIN ? '' : chooseEncoding(target.headers['accept-encoding']);
  const etag = encoding === '' ? prepared.etag : `${prepared.etag.slice(0, -1)}.${encoding}"`;
  const headers: (readonly [string, string])[] = [
    ['content-type', prepared.view.contentType],
    ['vary', 'accept, accept-encoding'],
    ['etag', etag],
    ['x-weir-bundle', exchange.policy.digest],
  ];
  if (encoding !== '') headers.push(['content-encoding', encoding]);
  if (stale) headers.push(staleWarning(exchange.atMs));
  if (notice.length === 0) headers.push(['cache-control', viewCacheControl(prepared.validUntil, now, false)]);
  headers.push(...notice);
  const reply: ClientReply = isNotModified(target.headers, etag)
    ? { status: 304, reasonPhrase: 'Not Modified', headers, body: NOTHING }
    : { status: 200, reasonPhrase: 'OK', headers, body: await encodedBody(prepared, encoding) };
  return { reply, encoding };
}

/** Whether a layer failed, which may go well the next time; staleness is part of what a view is kept under. */
function isPassing({ reasons }: Verdict): boolean {
  return reasons.some(({ layer, rule }) => layer === 'host' && rule !== HOST_RULES.staleness);
}

/**
 * Holds as long as the very view, of the very document, is still shown as long to whoever asks. Names the view and does not
 * keep it, so that views make room for one another as before.
 */
function viewStanding(
  views: Views,
  isCurrent: () => boolean,
  { key, etag, preparedAt, validUntil }: PreparedView,
  encoding: Encoding,
  { status, headers }: ClientReply,
): Standing {
  const cacheControl = headers.find(([name]) => name === 'cache-control')?.[1];
  return {
    body(at) {
      const prepared = views.get(key);
      if (prepared?.etag !== etag || prepared.preparedAt !== preparedAt || !isUsable(prepared, at)) return undefined;
      if (!isCurrent() || viewCacheControl(validUntil, at, false) !== cacheControl) return undefined;
      if (status === 304) return NOTHING;
      const body = encoding === '' ? prepared.view.body : prepared.encoded.get(encoding);
      return Buffer.isBuffer(body) ? body : undefined;
    },
  };
}

function isUsable({ preparedAt, usableUntil }: PreparedView, at: number): boolean {
  return preparedAt <= at && at < usableUntil;
}

/** The first coding of ours that the client takes without a reservation. */
function chooseEncoding(header: string | undefined): Encoding {
  if (header === undefined || header.length > 1000) return '';
  const offered = new Set<string>();
  for (const part of header.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    if (!parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))) offered.add(coding);
  }
  if (offered.has('gzip')) return 'gzip';
  return offered.has('br') ? 'br' : '';
}

function encodedBody(prepared: PreparedView, encoding: Encoding): Promise<Buffer> | Buffer {
  if (encoding === '') return prepared.view.body;
  const existing = prepared.encoded.get(encoding);
  if (existing !== undefined) return existing;
  const made =
    encoding === 'gzip'
      ? gzipAsync(prepared.view.body, { level: 1 })
      : brotliAsync(prepared.view.body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
  const kept = made.then((body) => {
    prepared.encoded.set(encoding, body);
    return body;
  });
  prepared.encoded.set(encoding, kept);
  return kept;
}

/** What a view's row says: the join over every version that is refused, each distinct rule and code once. */
function summarise(
  refused: readonly { readonly verdict: Verdict; readonly version: string }[],
  input: string,
): PreparedView['summary'] {
  if (refused.length === 0) return { ...UNJUDGED, input };
  const reasons = new Map<string, Reason>();
  for (const { verdict, version } of refused) {
    for (const reason of verdict.reasons) {
      const key = `${reason.layer} ${reason.rule} ${reason.code} ${reason.effective}`;
      if (!reasons.has(key)) reasons.set(key, { ...reason, facts: { ...reason.facts, version } });
    }
  }
  const kept = [...reasons.values()]
    .toSorted((a, b) => rank(b.effective) - rank(a.effective))
    .slice(0, VIEW_REASONS_MAX);
  const highest = (layers: readonly Reason['layer'][]): Level =>
    kept
      .filter(({ layer }) => layers.includes(layer))
      .reduce<Level>((level, { effective }) => join(level, effective), 'allow');
  return {
    level: highest(['floor', 'overlay', 'host']),
    floorLevel: highest(['floor', 'host']),
    overlayLevel: highest(['overlay']),
    reasons: kept,
    exceptions: [...new Set(kept.map(({ exception }) => exception))].filter((id) => id !== ''),
    input,
  };
}
