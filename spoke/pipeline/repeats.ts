// A request that equals an earlier one byte for byte gets the same answer again, as long as everything that the answer
// was made of still holds: the bundle and its staleness, who the credentials belong to, the verdict, the index document, the
// bytes. Each gets a row of its own, durable before anything leaves. Whatever does not hold takes the whole way through the
// pipeline; so this file can make an answer faster, never another.

import { LRUCache } from 'lru-cache';
import type { Principal } from '@weir/shared/domain/principal.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import type { RowTemplate } from '../audit/row-template.ts';
import { RECEIPT_HEADER, receiptHeader, type Recorded } from '../response/receipt-header.ts';
import type { Answer, KnownExchange, Reply, Standing } from './exchange.ts';
import type { ActivePolicy, PipelinePorts, RangeRequest, ReplyPort } from './ports.ts';

export const REPEAT_LIMITS = {
  /** Characters of remembered requests and bytes of their rows; the least recently used go first. */
  bytes: 64 << 20,
  /** A request whose line and headers are longer is not remembered, characters. */
  requestChars: 4096,
} as const;

/** What one remembered request costs beside its text and its row: map node, entry, heads, the row's members. */
const ENTRY_OVERHEAD_BYTES = 3 << 10;

/** A request as received. */
interface Asked {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly encrypted: boolean;
}

interface Repeat {
  readonly authorization: string | undefined;
  readonly principal: Principal;
  readonly staleness: Staleness;
  readonly standing: Standing;
  readonly row: RowTemplate;
  readonly labels: { readonly outcome: string; readonly level: string; readonly registry: string };
  readonly route: string;
  readonly status: number;
  readonly reason: string;
  /** Of the answer remembered, its row's id included. */
  readonly headers: readonly string[];
  /** Where in `headers` the row's id stands, -1 when nowhere. */
  readonly idAt: number;
  /** Where in `headers` the receipt goes, -1 when there is none. */
  readonly receiptAt: number;
  readonly range: RangeRequest | undefined;
}

export interface Repeats {
  /** @returns whether the request was answered; false when it has to take the whole way */
  answer(request: Asked, reply: ReplyPort): Promise<boolean>;
  /** Remembers how the request was answered, when the answer can be given again. */
  keep(request: Asked, exchange: KnownExchange, answer: Answer, row: RowTemplate): void;
}

export function createRepeats(ports: PipelinePorts): Repeats {
  /** By bundle, so that what was remembered under one ends with it. */
  const byPolicy = new WeakMap<ActivePolicy, LRUCache<string, Repeat>>();

  function recall(request: Asked, policy: ActivePolicy, at: number): { repeat: Repeat; body: Buffer } | undefined {
    const repeat = byPolicy.get(policy)?.get(textOf(request));
    if (repeat === undefined || repeat.staleness !== ports.staleness()) return undefined;
    const who = policy.authenticator.authenticate(repeat.authorization, at);
    if (who.kind !== 'principal' || who.principal !== repeat.principal) return undefined;
    const body = repeat.standing.body(at);
    return body === undefined ? undefined : { repeat, body };
  }

  return {
    async answer(request, reply) {
      const policy = ports.policy();
      if (policy === undefined) return false;
      const startedMs = ports.clock.monotonicMs();
      const atMs = ports.clock.nowMs();
      const found = recall(request, policy, Math.floor(atMs / 1000));
      if (found === undefined) return false;
      const { repeat, body } = found;
      const id = ports.random.uuid();
      const durationUs = Math.max(0, Math.round((ports.clock.monotonicMs() - startedMs) * 1000));
      let at: Recorded;
      try {
        at = await ports.log.appendTo(repeat.row, {
          id,
          time: new Date(atMs).toISOString(),
          duration_us: durationUs,
          trace: '',
          code: '',
        });
      } catch {
        // Not recorded, so not answered: the whole way meets the same trouble and says what follows from it.
        return false;
      }
      const { outcome, level, registry } = repeat.labels;
      ports.metrics.count('weir_spoke_decisions_total', { outcome, level, registry });
      ports.metrics.observe('weir_spoke_decision_seconds', durationUs / 1e6, { route: repeat.route });
      const headers = [...repeat.headers];
      if (repeat.idAt !== -1) headers[repeat.idAt] = id;
      if (repeat.receiptAt !== -1) headers[repeat.receiptAt] = receiptHeader(at);
      reply.sendBuffer(repeat.status, repeat.reason, headers, body, repeat.range);
      return true;
    },

    keep(request, exchange, answer, row) {
      const { standing, reply } = answer;
      if (standing === undefined || answer.coded || exchange.trace !== '') return;
      const text = textOf(request);
      if (text.length > REPEAT_LIMITS.requestChars) return;
      const { status, reason, headers: sent, range } = headOf(reply);
      const { kind } = exchange.route;
      const receipted = kind === 'artifact' || kind === 'sidecar';
      const headers = receipted ? [...sent, RECEIPT_HEADER, ''] : sent;
      let repeats = byPolicy.get(exchange.policy);
      if (repeats === undefined) {
        repeats = new LRUCache<string, Repeat>({
          maxSize: REPEAT_LIMITS.bytes,
          // The row twice: as bytes for the log that is open, and as values to write it for the next one.
          sizeCalculation: (repeat, key) => key.length + 2 * repeat.row.maxBytes + ENTRY_OVERHEAD_BYTES,
        });
        byPolicy.set(exchange.policy, repeats);
      }
      repeats.set(text, {
        authorization: exchange.target.headers['authorization'],
        principal: exchange.principal,
        staleness: exchange.staleness,
        standing,
        row,
        labels: { outcome: answer.outcome, level: answer.level, registry: exchange.adapter.id },
        route: kind,
        status,
        reason,
        headers,
        idAt: headers.indexOf(exchange.id),
        receiptAt: receipted ? headers.length - 1 : -1,
        range,
      });
    },
  };
}

function headOf(reply: Reply): Pick<Repeat, 'status' | 'reason' | 'headers' | 'range'> {
  if (reply.kind === 'artifact') return { status: 200, reason: 'OK', headers: reply.headers, range: reply.range };
  const { status, reasonPhrase, headers } = reply.reply;
  return { status, reason: reasonPhrase, headers: headers.flat(), range: reply.range };
}

/** Everything the client sent. Line feeds separate, because no part can hold one. */
function textOf({ method, url, rawHeaders, encrypted }: Asked): string {
  let text = `${method}\n${url}\n${encrypted ? 's' : ''}`;
  for (const part of rawHeaders) text += `\n${part}`;
  return text;
}
