import type { Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';

/** What is kept of a user. Times in milliseconds since the epoch. */
export interface UserRecord {
  readonly userId: string;
  readonly organizationId: string;
  readonly tier: string;
  readonly scopes: readonly Scope[];
  /** Unset: all. */
  readonly models?: readonly string[] | undefined;
  /** argon2id in PHC form, or bcrypt from an import; see password-hash.ts. */
  readonly passwordHash: string;
  readonly createdAtMs: number;
  /** Unset: active. */
  readonly disabledAtMs?: number | undefined;
  /** Tokens that are older no longer count. */
  readonly passwordChangedAtMs: number;
}

/** A page of users. */
export interface UserPage {
  readonly records: readonly UserRecord[];
  /** Continues after this page; unset: it was the last. */
  readonly next?: string | undefined;
}

/** Which users to list. */
export interface UserQuery {
  /** Unset: all organisations. */
  readonly organizationId?: string | undefined;
  /** 1 or more. */
  readonly limit: number;
  /** `next` of the page before. Unset: from the start. */
  readonly after?: string | undefined;
}

/** Whether a name is disabled, and whether it was. Times in milliseconds since the epoch. */
export interface UserState {
  /** Unset: active. */
  readonly disabledAtMs?: number | undefined;
  /** When it was last enabled again. Unset: never. */
  readonly enabledAtMs?: number | undefined;
}

/** Users. Every method rejects with MeshError STORE_UNAVAILABLE when the store does not answer. */
export interface UserStore {
  find(userId: string): Promise<UserRecord | undefined>;
  /**
   * Adds an active user. Adding the same record again changes nothing. Resolves to false when the name is taken, also by a
   * disabled user that stands in no record: old keys must not come alive with a new one.
   */
  add(record: UserRecord): Promise<boolean>;
  /** Sets another password; resolves to false when there is no such user. */
  setPassword(userId: string, passwordHash: string, atMs: number): Promise<boolean>;
  /** Replaces the hash of the same password, unless it was changed meanwhile. */
  upgradeHash(userId: string, from: string, to: string): Promise<void>;
  /**
   * Takes the mark away and remembers when. Tokens from before then stay ended: a record's `passwordChangedAtMs` becomes `atMs`
   * or later. Changes nothing for a name that is not disabled.
   */
  enable(userId: string, atMs: number): Promise<void>;
  /** Marks a name as disabled, once, also one that has no record here; resolves to when it was. */
  disable(userId: string, atMs: number): Promise<number>;
  /** When a name was disabled, also one that has no record here; undefined: it is not. */
  disabledAtMs(userId: string): Promise<number | undefined>;
  /** The same of a name, also one without a record here, with when it was last enabled again. */
  stateOf(userId: string): Promise<UserState>;
  /** By name, in the order of their bytes. */
  list(query: UserQuery): Promise<UserPage>;
}
