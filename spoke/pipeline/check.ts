// "What would happen if I installed this?": the same evidence and decision as an install, a row of its own, no bytes.

import { fullName, parsePurl, purl } from '@weir/shared/domain/coordinate.ts';
import { rank } from '@weir/shared/domain/level.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { nearestAllowed } from '../response/nearest-allowed.ts';
import { renderText } from '../response/texts.ts';
import { judged, type Answer, type KnownExchange } from './exchange.ts';
import { asListed, judge, judgeName } from './judge.ts';
import type { PipelinePorts } from './ports.ts';
import { draftRow } from './record.ts';

export interface CheckResult {
  readonly purl: string;
  /** Level of policy; `unknown_package` and `unknown_version` when the index has no such thing. */
  readonly outcome: 'judged' | 'unknown_package' | 'unknown_version';
  readonly level: Verdict['level'];
  readonly mode: string;
  readonly code: string;
  readonly reasons: readonly {
    readonly rule: string;
    readonly layer: string;
    readonly level: string;
    readonly effective: string;
    readonly title: string;
    readonly detail: string;
  }[];
  readonly allowed_instead: string;
  readonly bundle: string;
  readonly input: string;
}

/** @throws WeirError `invalid_argument`, `unavailable` without a policy, or whatever upstream and spool throw */
export async function checkPurl(ports: PipelinePorts, text: string, signal: AbortSignal): Promise<CheckResult> {
  const asked = parsePurl(text);
  const adapter = ports.adapters.find(({ ecosystem }) => ecosystem === asked?.ecosystem);
  const name = asked === undefined ? undefined : adapter?.normalizeName(fullName(asked));
  if (asked === undefined || adapter === undefined || name === undefined) {
    throw new WeirError('invalid_argument', `${text.slice(0, 200)} is not a package URL that this spoke can judge`, {
      next: 'write it like pkg:npm/left-pad@1.3.0 or pkg:pypi/requests@2.32.0',
    });
  }
  const policy = ports.policy();
  if (policy === undefined)
    throw new WeirError('unavailable', 'this spoke has no verified policy yet', { retry: 'later' });
  const id = ports.random.uuid();
  const exchange: KnownExchange = {
    id,
    code: requestCodeOf(id),
    startedMs: ports.clock.monotonicMs(),
    atMs: ports.clock.nowMs(),
    adapter,
    target: { method: 'GET', path: '/', segments: [], query: '', headers: {} },
    route: { kind: 'service', service: 'check', detail: '' },
    client: 'other',
    trace: '',
    publicBase: '',
    signal,
    policy,
    staleness: ports.staleness(),
    principal: { id: 'operator', kind: 'person', groups: [], mfa: false },
  };
  let subject = { ...name, version: asked.version };

  async function settle(
    outcome: CheckResult['outcome'],
    verdict: Verdict | undefined,
    allowedInstead: string,
  ): Promise<CheckResult> {
    const refused = verdict !== undefined && rank(verdict.level) >= rank('pending');
    const nothing = {
      level: 'allow',
      floorLevel: 'allow',
      overlayLevel: 'allow',
      reasons: [],
      exceptions: [],
      input: '',
    } as const;
    const answer: Answer = {
      ...(verdict === undefined ? nothing : judged(verdict)),
      reply: { kind: 'bytes', reply: { status: 200, reasonPhrase: 'OK', headers: [], body: Buffer.alloc(0) } },
      outcome: outcome === 'judged' ? 'checked' : outcome,
      action: 'check',
      purl: purl(subject),
      digest: '',
      enforced: false,
      hidden: [],
      coded: refused,
      file: 'check',
    };
    await ports.log.append(
      draftRow(
        ports,
        exchange,
        answer,
        exchange.principal,
        { digest: exchange.policy.digest, mode: exchange.policy.settings.mode },
        0,
      ),
    );
    return {
      purl: purl(subject),
      outcome,
      level: answer.level,
      mode: exchange.policy.settings.mode,
      code: refused ? exchange.code : '',
      reasons: answer.reasons.map((reason) => ({
        rule: reason.rule,
        layer: reason.layer,
        level: reason.level,
        effective: reason.effective,
        ...renderText(exchange.policy.rules, reason, subject),
      })),
      allowed_instead: allowedInstead,
      bundle: exchange.policy.digest,
      input: answer.input,
    };
  }

  const early = judgeName(ports, exchange, 'check', name);
  if (early !== undefined && rank(early.level) >= rank('pending')) return settle('judged', early, '');
  const found = await ports.metadata.read(adapter, name, signal);
  if (found.kind === 'not_found') return settle('unknown_package', undefined, '');
  const { releases } = found;
  const verdicts = judge(ports, exchange, 'check', releases, releases.releases.map(asListed));
  const wanted =
    asked.version === '' ? (releases.tags['latest'] ?? releases.releases.at(-1)?.version ?? '') : asked.version;
  subject = { ...name, version: wanted };
  const position = releases.releases.findIndex(({ version }) => version === wanted);
  const verdict = verdicts[position];
  if (verdict === undefined) return settle('unknown_version', undefined, '');
  const others = releases.releases.flatMap(({ version }, i) => {
    const level = verdicts[i]?.level;
    return level === undefined || version === '' || version === wanted ? [] : [{ version, level }];
  });
  const instead =
    rank(verdict.level) < rank('pending')
      ? ''
      : nearestAllowed(wanted, others, (a, b) => adapter.compareVersions(a, b));
  return settle('judged', verdict, instead);
}
