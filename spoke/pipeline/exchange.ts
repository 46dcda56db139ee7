// The two values that travel through the pipeline: what is known of the request, and the answer with all that its row says.

import type { Principal } from '@weir/shared/domain/principal.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { Level } from '@weir/shared/domain/level.ts';
import type { Reason, Verdict } from '@weir/shared/domain/verdict.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import type { Action } from '@weir/shared/policy/input.ts';
import type { Adapter, ClientReply, RequestTarget, Route } from '../registries/adapter.ts';
import type { ActivePolicy, Artifact, RangeRequest } from './ports.ts';

/** Fixed when the request arrives. The id is the future row's, so that the code can be printed before the row exists. */
export interface Exchange {
  readonly id: string;
  readonly code: RequestCode;
  readonly startedMs: number;
  /** Unix milliseconds, read once. */
  readonly atMs: number;
  readonly adapter: Adapter;
  readonly target: RequestTarget;
  readonly route: Route;
  readonly client: string;
  readonly trace: string;
  /** Base URL of the adapter's mount as the client sees it. */
  readonly publicBase: string;
  readonly signal: AbortSignal;
}

/** An exchange that has a policy and somebody to answer to. */
export interface KnownExchange extends Exchange {
  readonly policy: ActivePolicy;
  /** Of the bundle, when the request arrived. */
  readonly staleness: Staleness;
  readonly principal: Principal;
}

export type Reply =
  | { readonly kind: 'bytes'; readonly reply: ClientReply; readonly range?: RangeRequest }
  | {
      readonly kind: 'artifact';
      readonly artifact: Artifact;
      readonly headers: readonly string[];
      readonly range: RangeRequest;
    };

export interface Answer {
  readonly reply: Reply;
  /** One snake_case word for the row: served, filtered, refused, … */
  readonly outcome: string;
  readonly action: Action | 'event';
  readonly level: Level;
  readonly floorLevel: Level;
  readonly overlayLevel: Level;
  readonly reasons: readonly Reason[];
  readonly exceptions: readonly string[];
  readonly purl: string;
  readonly digest: string;
  readonly enforced: boolean;
  readonly hidden: readonly string[];
  /** Digest of the policy input, '' when no policy ran. */
  readonly input: string;
  /** True when the reply prints the request code. */
  readonly coded: boolean;
  /** File or service name for the row. */
  readonly file: string;
  /** Set when the same request is to get the same answer again for a while. */
  readonly standing?: Standing;
}

/** What an answer was made of, so that it can be seen whether it would be given again. Holds no bytes and no document. */
export interface Standing {
  /** The bytes to send again; undefined as soon as anything else would be answered. @param at unix seconds */
  body(at: number): Buffer | undefined;
}

/** The part of an answer that a verdict determines. */
export function judged(
  verdict: Verdict,
): Pick<Answer, 'level' | 'floorLevel' | 'overlayLevel' | 'reasons' | 'exceptions' | 'input'> {
  return {
    level: verdict.level,
    floorLevel: verdict.floor_level,
    overlayLevel: verdict.overlay_level,
    reasons: verdict.reasons,
    exceptions: verdict.exceptions,
    input: verdict.input,
  };
}

/** The part of an answer when no policy ran and nothing was decided against the request. */
export const UNJUDGED: Pick<Answer, 'level' | 'floorLevel' | 'overlayLevel' | 'reasons' | 'exceptions' | 'input'> =
  Object.freeze({
    level: 'allow',
    floorLevel: 'allow',
    overlayLevel: 'allow',
    reasons: [],
    exceptions: [],
    input: '',
  });
