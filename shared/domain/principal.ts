// Who asks. Built by the identity stage from a token or from the signed anonymous setting; ids are opaque.

export interface Principal {
  /** Stable id, e.g. a token id or `anonymous`; never the secret. */
  readonly id: string;
  readonly kind: 'anonymous' | 'token' | 'person' | 'workload';
  readonly groups: readonly string[];
  readonly mfa: boolean;
}
