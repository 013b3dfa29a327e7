/** The refresh tokens that descend from one login; one of them is unspent. */
export interface TokenFamily {
  readonly familyId: string;
  readonly userId: string;
  /** The state of the user's password at the login; with another one the family no longer counts. */
  readonly passwordChangedAtMs: number;
  /** The end of all its tokens, in milliseconds since the epoch. */
  readonly expiresAtMs: number;
  /** HMAC-SHA-256 of the unspent token with the server's pepper, in hex. */
  readonly hash: string;
}

/** Families of refresh tokens. Every method rejects with MeshError STORE_UNAVAILABLE when the store does not answer. */
export interface RefreshTokenStore {
  /** Adds one, and drops what has expired by `nowMs`. Adding the same again changes nothing. */
  add(family: TokenFamily, nowMs: number): Promise<void>;
  /** One that has neither expired nor been ended. */
  find(familyId: string, nowMs: number): Promise<TokenFamily | undefined>;
  /**
   * Spends the token of hash `from`; `to` is unspent then. Doing the same again changes nothing. Resolves to false when
   * `from` is not the unspent one, or there is no such family.
   */
  rotate(familyId: string, from: string, to: string): Promise<boolean>;
  /** Ends one with all its tokens. Ending twice is no error. */
  end(familyId: string): Promise<void>;
}
