// Who asks. Built by the identity stage from a token or from the signed anonymous setting; ids are opaque.

/** Kinds that a signed token can name; `anonymous` needs no token. */
export const TOKEN_KINDS = ['token', 'person', 'workload'] as const;

/** Principal id of requests without a token. */
export const ANONYMOUS = 'anonymous';

export interface Principal {
  /** Stable id, e.g. a token id or `anonymous`; never the secret. */
  readonly id: string;
  readonly kind: 'anonymous' | (typeof TOKEN_KINDS)[number];
  readonly groups: readonly string[];
  readonly mfa: boolean;
  /** What rows call this principal, as the hub told in the signed identities layer; absent in layers of older hubs. */
  readonly pseudonym?: string;
}
