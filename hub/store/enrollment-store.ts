// Spokes, their certificates and the one-time tokens that let them join.

export interface JoinTokenRecord {
  /** 64 hex digits: the only form at rest. */
  readonly sha256: string;
  readonly unit: string;
  readonly spoke: string;
  /** Whether the join may replace a live identity. */
  readonly replaces: boolean;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

export interface SpokeRecord {
  readonly unit: string;
  readonly name: string;
  readonly site: string;
  readonly engine: string;
  /** Raw Ed25519 public key of its audit log. */
  readonly logKey: Uint8Array;
  readonly enrolledAtMs: number;
  readonly leftAtMs: number | null;
  readonly deniedAtMs: number | null;
}

export interface CertificateRecord {
  /** Lower-case hex. */
  readonly serial: string;
  readonly unit: string;
  readonly spoke: string;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
}

/** Whose connections are refused although their certificate is genuine. */
export interface Denials {
  /** `unit/spoke` of spokes that were denied or have left. */
  readonly spokes: ReadonlySet<string>;
  /** Serials of revoked certificates that have not expired longer ago than `sinceMs`. */
  readonly serials: ReadonlySet<string>;
}

export interface EnrollmentStore {
  /** Throws `not_found` for an unknown unit. */
  insertJoinToken(token: JoinTokenRecord): Promise<void>;

  /**
   * Burns the token: of any number of concurrent calls exactly one gets `burnt`. It stays burnt whatever comes of the join.
   */
  burnJoinToken(
    sha256: string,
    atMs: number,
  ): Promise<
    | { readonly kind: 'burnt'; readonly token: JoinTokenRecord }
    | { readonly kind: 'reused'; readonly token: JoinTokenRecord }
    | { readonly kind: 'unknown' }
  >;

  spoke(unit: string, name: string): Promise<SpokeRecord | undefined>;

  /** Whether the spoke holds a certificate that is neither revoked nor expired at `atMs`, and has neither left nor been denied. */
  hasLiveIdentity(unit: string, name: string, atMs: number): Promise<boolean>;

  /**
   * Writes a joined spoke and its first certificate in one transaction. With `replace`, every earlier certificate of that
   * name is revoked first; without it, a live identity at `certificate.issuedAtMs` makes this `live` and writes nothing.
   */
  enroll(
    spoke: Omit<SpokeRecord, 'leftAtMs' | 'deniedAtMs'>,
    certificate: CertificateRecord,
    replace: boolean,
  ): Promise<'enrolled' | 'live'>;

  /** Records a renewed certificate; `refused` when the spoke was denied or left, or `oldSerial` is unknown or revoked. */
  renew(oldSerial: string, certificate: CertificateRecord): Promise<'renewed' | 'refused'>;

  /**
   * Revokes every certificate of the spoke and marks it; `denied` also burns the invitations that are still out. The number
   * of certificates, undefined when there is neither such a spoke nor an invitation.
   */
  revokeSpoke(unit: string, name: string, how: 'denied' | 'left', atMs: number): Promise<number | undefined>;

  denials(sinceMs: number): Promise<Denials>;
}
