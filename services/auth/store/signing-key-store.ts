/** What a token may be signed with. */
export type TokenAlgorithm = 'EdDSA' | 'ES256';

/** What is kept of a signing key. Times in milliseconds since the epoch. */
export interface SigningKeyRecord {
  /** The thumbprint of its public key (RFC 7638, SHA-256). */
  readonly kid: string;
  readonly algorithm: TokenAlgorithm;
  /** The private key, sealed; see signing-key-seal.ts. */
  readonly sealed: string;
  readonly publishedAtMs: number;
  /** From then on it signs, until the next one does. */
  readonly signsFromMs: number;
}

/** All signing keys, oldest first. */
export interface SigningKeySet {
  /** Counts the changes; 0: there was none yet. */
  readonly version: number;
  readonly keys: readonly SigningKeyRecord[];
}

/** Signing keys. Every method rejects with MeshError STORE_UNAVAILABLE when the store does not answer. */
export interface SigningKeyStore {
  load(): Promise<SigningKeySet>;
  /**
   * Puts `next` in place of the set of the version before it. Doing the same again changes nothing. Resolves to false when
   * somebody else was faster.
   */
  replace(next: SigningKeySet): Promise<boolean>;
}
