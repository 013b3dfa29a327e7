import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../test/harness/processes.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { createAuthContext } from './context.ts';
import { createRevocationDelivery, type RevocationDelivery } from './revocation-delivery.ts';
import type { Revocation } from './revocations.ts';
import { createAuthStores } from './store/auth-stores.ts';

const KEY: Revocation = { kind: 'key', id: 'k1', cutRunningStreams: false };
const USER: Revocation = { kind: 'user', id: 'ann', cutRunningStreams: true };

describe('with a store that can be away', () => {
  let isAway: boolean;
  let tries: number;
  let told: Revocation[];
  let lines: string[];
  let delivery: RevocationDelivery;

  beforeEach(() => {
    [isAway, tries, told, lines] = [false, 0, [], []];
    delivery = createRevocationDelivery({
      revocations: {
        async publish(revocation) {
          tries += 1;
          if (isAway) throw new Error('away');
          told.push(revocation);
        },
      },
      log: pino({ messageKey: 'text' }, { write: (line) => void lines.push(JSON.parse(line).text) }),
    });
  });
  afterEach(() => delivery.close());

  test('what goes out is told once', async () => {
    expect(await delivery.tell(KEY)).toBe(true);
    delivery.close();
    expect([told, tries, lines]).toEqual([[KEY], 1, []]);
  });

  test('what cuts streams is told once more, for those whose watch was broken', async () => {
    expect(await delivery.tell(USER)).toBe(true);
    expect(told).toEqual([USER]);
    await eventually('once more', () => told.length === 2, 60_000);
    expect([told, tries, lines]).toEqual([[USER, USER], 2, []]);
  });

  test('what does not go out is tried until it does, and once more for those who were away too', async () => {
    isAway = true;
    expect([await delivery.tell(KEY), await delivery.tell(USER)]).toEqual([false, false]);
    await eventually('it was tried again', () => tries > 4);
    expect(told).toEqual([]);
    isAway = false;
    await eventually('both were told', () => told.length === 2);
    expect(told).toEqual([KEY, USER]);
    await eventually('and once more', () => told.length === 4, 60_000);
    expect(lines).toHaveLength(4);
  });

  test('what is said again while it waits goes out once, with all that was said', async () => {
    isAway = true;
    for (const cutRunningStreams of [false, true, false]) await delivery.tell({ ...KEY, cutRunningStreams });
    isAway = false;
    await eventually('it was told', () => told.length > 0);
    expect(told).toEqual([{ ...KEY, cutRunningStreams: true }]);
  });

  test('whoever ends with something untold says so, and tries no more', async () => {
    isAway = true;
    await delivery.tell(KEY);
    delivery.close();
    expect(lines.at(-1)).toMatch(/not everybody was told/);
    const tried = tries;
    expect(await delivery.tell(USER)).toBe(false);
    expect(tries).toBe(tried + 1);
  });
});

describeStores('revocations that cannot be told at first', (stores) => {
  const log = pino({ level: 'silent' });
  let store: Store;
  let heard: Revocation[];

  if (stores.kind === 'sqlite') {
    test('a store that one process owns has none', async () => {
      store = await stores.openEmpty();
      const resources = { store, pepper: Buffer.alloc(32, 1), now: Date.now, log };
      const admin = clientAs(createAuthContext(authConfigSchema.parse({}), resources), PEER_PRINCIPAL);
      const { apiKey } = await admin.createApiKey({});
      expect(await admin.revokeApiKey({ keyId: apiKey?.keyId ?? '' })).toMatchObject({ pushPending: false });
    });
    return;
  }

  /** Watches in another process as routers do: again and again. Returns what ends it. */
  async function listen(): Promise<() => void> {
    const { revocations } = createAuthStores(await stores.open());
    let isOver = false;
    const watch = (): void => {
      if (isOver) return;
      revocations.ready().then(() => revocations.watch((revocation) => heard.push(revocation), watch), watch);
    };
    await revocations.ready();
    revocations.watch((revocation) => heard.push(revocation), watch);
    return () => {
      isOver = true;
      revocations.close();
    };
  }

  beforeEach(async () => {
    store = await stores.openEmpty();
    heard = [];
    return await listen();
  });

  test('the answer says so, the key is revoked in the store, and everybody hears of it later', async () => {
    if (store.kind !== 'redis') return;
    const { redis } = store;
    const resources = { store, pepper: Buffer.alloc(32, 1), now: Date.now, log };
    const context = createAuthContext(authConfigSchema.parse({}), resources);
    const admin = clientAs(context, PEER_PRINCIPAL);
    try {
      const { apiKey, secret } = await admin.createApiKey({});
      const { keyId = '' } = apiKey ?? {};
      await admin.createUser({ userId: 'ann', password: 'correct horse battery' });
      // Writes go on, but nobody may tell or hear anything.
      await redis.call('ACL', 'SETUSER', 'default', 'resetchannels');
      const rotated = await admin.rotateApiKey({ keyId, grace: { seconds: 0n, nanos: 0 } });
      const revoked = await admin.revokeApiKey({ keyId, cutRunningStreams: true });
      const disabled = await admin.disableUser({ userId: 'ann' });
      const replaced = await admin.setPassword({ userId: 'ann', newPassword: 'another fine password' });
      await context.signingKeys.current();
      const ended = await admin.rotateSigningKey({ leaked: true });
      for (const { pushPending } of [rotated, revoked, disabled, replaced, ended]) expect(pushPending).toBe(true);
      expect(revoked.apiKey?.revokedAt).toBeDefined();
      for (const credential of [secret, rotated.secret]) {
        expect(await reasonOf(admin.authenticate({ credential }))).toBe('CREDENTIAL_INVALID');
      }
      expect(heard).toEqual([]);
      await redis.call('ACL', 'SETUSER', 'default', 'allchannels');
      await eventually('all is heard', () => new Set(heard.map(({ kind }) => kind)).size === 3, 60_000);
      expect(heard).toContainEqual({ kind: 'key', id: keyId, cutRunningStreams: true });
      expect(heard).toContainEqual({ kind: 'user', id: 'ann', cutRunningStreams: true });
      expect(await admin.revokeApiKey({ keyId })).toMatchObject({ pushPending: false });
    } finally {
      await redis.call('ACL', 'SETUSER', 'default', 'allchannels');
      await context.close();
    }
  });

  // The last one: it stops the server.
  test('a server that stands still for a while', { timeout: 120_000 }, async () => {
    const delivery = createRevocationDelivery({ revocations: createAuthStores(store).revocations, log });
    stores.server().child.kill('SIGSTOP');
    try {
      expect(await delivery.tell(USER)).toBe(false);
    } finally {
      stores.server().child.kill('SIGCONT');
    }
    await eventually('it is heard', () => heard.length > 0, 60_000);
    expect(heard[0]).toEqual(USER);
    delivery.close();
  });
});
