// Tokens that clients present to spokes. Only the SHA-256 of a token is kept; spokes receive the active ones in the signed
// identities layer, so that they authenticate with the hub dead.

export interface UnitToken {
  readonly id: string;
  readonly unit: string;
  /** 64 hex digits. */
  readonly sha256: string;
  readonly principal: string;
  readonly kind: 'token' | 'person' | 'workload';
  readonly groups: readonly string[];
  readonly createdAtMs: number;
  /** Null for no expiry. */
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export interface UnitTokenStore {
  /** Throws `not_found` for an unknown unit. */
  insertToken(token: Omit<UnitToken, 'createdAtMs' | 'revokedAtMs'>): Promise<UnitToken>;
  /** Marks it revoked (once: the first time stays); undefined when there is none. */
  revokeToken(id: string): Promise<UnitToken | undefined>;
  /** Newest first; `unit` '' means all. */
  listTokens(
    unit: string,
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly tokens: readonly UnitToken[]; readonly nextCursor: string }>;
  /** Tokens of the unit that are neither revoked nor expired at `atMs`, by id: what the identities layer carries. */
  activeTokens(unit: string, atMs: number): Promise<readonly UnitToken[]>;
}
