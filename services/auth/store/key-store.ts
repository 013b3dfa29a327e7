import type { Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';

/** What is kept of a key. Times in milliseconds since the epoch. */
export interface KeyRecord {
  readonly keyId: string;
  /** HMAC-SHA-256 of the whole key, in hex. */
  readonly hash: string;
  /** Secrets from before rotations that may still be valid. */
  readonly previous: readonly PreviousSecret[];
  readonly name: string;
  /** Empty: none. */
  readonly userId: string;
  readonly organizationId: string;
  readonly tier: string;
  readonly scopes: readonly Scope[];
  /** Empty: all. */
  readonly models: readonly string[];
  /** CIDR. Empty: anywhere. */
  readonly allowedIpRanges: readonly string[];
  readonly createdAtMs: number;
  /** Whether its first secret, which was imported, can be guessed. Unset: it cannot. */
  readonly isWeak?: true | undefined;
  readonly expiresAtMs?: number | undefined;
  readonly revokedAtMs?: number | undefined;
  /** To the minute. */
  readonly lastUsedAtMs?: number | undefined;
}

/** A secret that a rotation replaced. */
export interface PreviousSecret {
  /** HMAC-SHA-256 of the whole key, in hex. */
  readonly hash: string;
  /** When it ends, in milliseconds since the epoch. */
  readonly validUntilMs: number;
}

/** A key and what its user's state says of it. */
export interface FoundKey extends KeyRecord {
  /** When its user was disabled. Unset: there is none, or an active one. */
  readonly userDisabledAtMs?: number | undefined;
}

/** A page of keys. */
export interface KeyPage {
  readonly records: readonly KeyRecord[];
  /** Continues after this page; unset: it was the last. */
  readonly next?: string | undefined;
}

/** Which keys to list. */
export interface KeyQuery {
  /** Unset: all organisations. */
  readonly organizationId?: string | undefined;
  /** 1 or more. */
  readonly limit: number;
  /** `next` of the page before. Unset: from the start. */
  readonly after?: string | undefined;
}

/** Keys. Every method rejects with MeshError STORE_UNAVAILABLE when the store does not answer. */
export interface KeyStore {
  /** The key and the state of its user in one read. */
  find(keyId: string): Promise<FoundKey | undefined>;
  /** Adds a key. Adding the same record again changes nothing. Resolves to false when another key has the id. */
  add(record: KeyRecord): Promise<boolean>;
  /** Adds the first key of the store; resolves to false when another one was the first. */
  addFirst(record: KeyRecord): Promise<boolean>;
  /** Newest first. */
  list(query: KeyQuery): Promise<KeyPage>;
  /** Ends a key, once; resolves to what is known of it, undefined when there is none. */
  revoke(keyId: string, atMs: number): Promise<KeyRecord | undefined>;
  /**
   * Replaces the hash `from`. Doing the same again changes nothing. Resolves to false when there is no such key, or its hash
   * is another one meanwhile.
   */
  rotate(keyId: string, from: string, to: Pick<KeyRecord, 'hash' | 'previous'>): Promise<boolean>;
  /** Notes that a key was used. */
  touch(keyId: string, atMs: number): Promise<void>;
}
