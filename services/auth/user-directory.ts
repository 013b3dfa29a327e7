import { formatNameCursor, parseNameCursor } from './store/page-cursor.ts';
import type { UserPage, UserQuery, UserRecord, UserStore } from './store/user-store.ts';

/** All users: those of the configuration, which live in memory and end with their entry, and those of the store. */
export interface UserDirectory {
  /** The configuration goes before the store. */
  find(userId: string): Promise<UserRecord | undefined>;
  /** Whether a user stands in the configuration, where alone it can be changed. */
  isConfigured(userId: string): boolean;
  /** Replaces the hash of the same password by a new one, where it is the mesh that keeps it. */
  upgradeHash(userId: string, from: string, make: () => Promise<string>): Promise<void>;
  /** Ends a user; resolves to what is known of it, undefined when there is none. */
  disable(userId: string, atMs: number): Promise<UserRecord | undefined>;
  /** Lets a user in again; resolves to what is known of it, undefined when there is none. */
  enable(userId: string, atMs: number): Promise<UserRecord | undefined>;
  /** By name, in the order of their bytes. */
  list(query: UserQuery): Promise<UserPage>;
}

/** Joins them. */
export function createUserDirectory(configured: ReadonlyMap<string, UserRecord>, users: UserStore): UserDirectory {
  async function find(userId: string): Promise<UserRecord | undefined> {
    const known = configured.get(userId);
    return known ? await withState(known) : await users.find(userId);
  }

  /** An entry of the file does not know that it was disabled, or enabled again. */
  async function withState(user: UserRecord): Promise<UserRecord> {
    const { disabledAtMs, enabledAtMs = 0 } = await users.stateOf(user.userId);
    return { ...user, disabledAtMs, passwordChangedAtMs: Math.max(user.passwordChangedAtMs, enabledAtMs) };
  }

  return {
    find,
    isConfigured: (userId) => configured.has(userId),
    async upgradeHash(userId, from, make) {
      if (!configured.has(userId)) await users.upgradeHash(userId, from, await make());
    },
    async disable(userId, atMs) {
      const user = await find(userId);
      return user && { ...user, disabledAtMs: await users.disable(userId, atMs) };
    },
    async enable(userId, atMs) {
      if (!(await find(userId))) return undefined;
      await users.enable(userId, atMs);
      return await find(userId);
    },
    async list(query) {
      const stored = await users.list(query);
      const after = query.after === undefined ? undefined : parseNameCursor(query.after);
      // A page of the store ends somewhere; what the file has behind that comes with a later page.
      const until = stored.next === undefined ? undefined : parseNameCursor(stored.next);
      const fromFile = [...configured.values()].filter(
        ({ userId, organizationId }) =>
          (query.organizationId === undefined || query.organizationId === organizationId) &&
          (after === undefined || compare(userId, after) > 0) &&
          (until === undefined || compare(userId, until) <= 0),
      );
      const fromStore = stored.records.filter(({ userId }) => !configured.has(userId));
      const all = [...fromFile, ...fromStore].sort((a, b) => compare(a.userId, b.userId));
      const records = all.slice(0, query.limit);
      const last = records.at(-1);
      return {
        records: await Promise.all(records.map((user) => (configured.has(user.userId) ? withState(user) : user))),
        next: all.length > query.limit && last ? formatNameCursor(last.userId) : stored.next,
      };
    },
  };
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
