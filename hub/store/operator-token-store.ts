// Tokens of the people and scripts that use the admin port.

export interface OperatorToken {
  readonly id: string;
  readonly name: string;
  /** 64 hex digits. */
  readonly sha256: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export interface OperatorTokenStore {
  insertOperatorToken(token: Pick<OperatorToken, 'id' | 'name' | 'sha256' | 'expiresAtMs'>): Promise<void>;
  /** Neither revoked nor expired at `atMs`. */
  activeOperatorTokens(atMs: number): Promise<readonly OperatorToken[]>;
}
