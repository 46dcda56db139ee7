// Who is behind the pseudonyms in rows. A row holds only the pseudonym; name and salt are kept here alone, so that deleting
// them makes the rows anonymous and leaves every byte and proof of them as it was.

export interface Actor {
  readonly unit: string;
  /** `h:` and 32 hex digits, as rows carry it. */
  readonly pseudonym: string;
  /** '' once erased. */
  readonly name: string;
  readonly createdAtMs: number;
  /** Null while the name is known. */
  readonly erasedAtMs: number | null;
}

export interface NewActor {
  readonly name: string;
  /** 32 random bytes, this actor's own. */
  readonly salt: Uint8Array;
  readonly pseudonym: string;
}

export type Erasure =
  | {
      readonly kind: 'erased';
      /** Every pseudonym whose name is gone now, including those that were erased before by this name's other half. */
      readonly pseudonyms: readonly string[];
      readonly erasedAtMs: number;
    }
  /** The actor can still come in with these tokens: nothing was changed. */
  | { readonly kind: 'in_use'; readonly tokens: readonly string[] }
  /** Nobody of this name or pseudonym is known, or is known any more. */
  | { readonly kind: 'unknown' };

export interface ActorStore {
  /**
   * The present pseudonym of each name, made with `make` for the names that have none; atomic, so that two hubs that ask at
   * once are told the same. Throws `not_found` for an unknown unit.
   */
  ensureActors(
    unit: string,
    names: readonly string[],
    make: (name: string) => NewActor,
  ): Promise<ReadonlyMap<string, string>>;

  /** Pseudonyms that stand for a name now, newest first; a name that was erased has none. */
  pseudonymsOf(unit: string, name: string): Promise<readonly string[]>;

  /** Undefined for a pseudonym that was never given out. */
  actor(unit: string, pseudonym: string): Promise<Actor | undefined>;

  /** By pseudonym; erased ones too. */
  listActors(
    unit: string,
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly actors: readonly Actor[]; readonly nextCursor: string }>;

  /**
   * Forgets an actor by name or pseudonym, in one transaction: name and salt of every pseudonym of it, its revoked and expired
   * tokens, and every stored identities layer that names it. Refused as `in_use` while a token of it is good at `atMs`.
   */
  erase(unit: string, who: { readonly name: string } | { readonly pseudonym: string }, atMs: number): Promise<Erasure>;
}
