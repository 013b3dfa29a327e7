import { hash as makeBcrypt } from '@node-rs/bcrypt';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { describeStores } from '../../test/harness/stores.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { closeStore, type Store } from '../shared/store/store.ts';
import { createHashQueue } from './hash-queue.ts';
import { createVerifyLogin, type LoginParts, type VerifyLogin } from './login.ts';
import { createLoginLimit } from './login-limit.ts';
import { createPasswords, deriveArgon2id } from './password.ts';
import { createAuthStores } from './store/auth-stores.ts';
import type { UserRecord, UserStore } from './store/user-store.ts';
import { createUserDirectory } from './user-directory.ts';

const log = pino({ level: 'silent' });
const PASSWORD = 'correct horse battery';
const HOME = '192.0.2.1';

describeStores('logins', (stores) => {
  let store: Store;
  let users: UserStore;
  let nowMs: number;
  /** How often argon2id was computed. */
  let computed: number;
  /** Runs while a hash is computed. */
  let meanwhile: () => Promise<unknown>;
  let verifyLogin: VerifyLogin;
  const passwords = createPasswords(createHashQueue({ running: 2, waiting: 64 }), async (...args) => {
    computed += 1;
    await meanwhile();
    return deriveArgon2id(...args);
  });

  function build(changes: Partial<LoginParts> = {}, configured: readonly UserRecord[] = []): VerifyLogin {
    const directory = createUserDirectory(new Map(configured.map((user) => [user.userId, user])), users);
    const limit = createLoginLimit(() => nowMs);
    return createVerifyLogin({ users: directory, passwords, limit, log, wrongLoginMs: 0, ...changes });
  }

  async function user(userId: string, changes: Partial<UserRecord> = {}): Promise<UserRecord> {
    const passwordHash = changes.passwordHash ?? (await passwords.hash(PASSWORD));
    const times = { createdAtMs: nowMs, passwordChangedAtMs: nowMs };
    return { userId, organizationId: 'acme', tier: 'standard', scopes: [1], passwordHash, ...times, ...changes };
  }

  /** What a login ends with: the user's name, or the message. */
  async function outcome(login: Promise<UserRecord>): Promise<string> {
    return await login.then(
      ({ userId }) => userId,
      (error: unknown) => (error instanceof MeshError ? `${error.reason} ${error.message}` : String(error)),
    );
  }

  const WRONG = 'CREDENTIAL_INVALID Invalid username or password';

  beforeEach(async () => {
    nowMs = 1_000_000;
    meanwhile = async () => undefined;
    store = await stores.openEmpty();
    users = createAuthStores(store).users;
    await users.add(await user('ann'));
    verifyLogin = build();
    computed = 0;
  });

  test('a right password lets in', async () => {
    expect(await verifyLogin('ann', PASSWORD, HOME)).toMatchObject({ userId: 'ann', organizationId: 'acme' });
  });

  test('unknown, wrong and disabled are answered alike, and each computes one hash', async () => {
    await users.add(await user('bob'));
    await users.disable('bob', nowMs);
    computed = 0;
    for (const login of [
      () => verifyLogin('nobody', PASSWORD, HOME),
      () => verifyLogin('ann', 'wrong', HOME),
      () => verifyLogin('bob', PASSWORD, HOME),
      () => verifyLogin('bob', 'wrong', HOME),
      () => verifyLogin('', '', ''),
    ]) {
      const before = computed;
      expect(await outcome(login())).toBe(WRONG);
      expect(computed - before).toBe(1);
    }
  });

  test('a wrong login takes its time whatever the hash, a right one does not', async () => {
    // Cheap to compute: without the wait its user would stand out.
    await users.add(await user('imported', { passwordHash: await makeBcrypt(PASSWORD, 4) }));
    const slow = build({ wrongLoginMs: 300 });
    for (const name of ['imported', 'ann', 'nobody']) {
      const startedMs = performance.now();
      expect(await outcome(slow(name, 'wrong', HOME))).toBe(WRONG);
      // Timers may be a little early.
      expect(performance.now() - startedMs).toBeGreaterThan(280);
    }
  });

  test('an unknown user takes about as long as a wrong password', async () => {
    const medianMs = async (name: string): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 9; i += 1) {
        const startedMs = performance.now();
        await outcome(verifyLogin(name, 'wrong', `192.0.2.${i}`));
        times.push(performance.now() - startedMs);
        nowMs += 60_000;
      }
      return times.sort((a, b) => a - b)[4] ?? 0;
    };
    const [known, unknown] = [await medianMs('ann'), await medianMs('nobody')];
    // Coarse: without a hash for the unknown it would be some hundred times less.
    expect(unknown).toBeGreaterThan(known / 10);
    expect(unknown).toBeLessThan(known * 10);
  });

  test('ten wrong guesses for a name, known or not, then nothing is computed or looked up', async () => {
    for (const name of ['ann', 'nobody']) {
      for (let i = 0; i < 10; i += 1) expect(await outcome(verifyLogin(name, 'wrong', `192.0.2.${i}`))).toBe(WRONG);
    }
    const before = computed;
    await closeStore(store);
    expect(await outcome(verifyLogin('ann', PASSWORD, '192.0.2.200'))).toBe(WRONG);
    expect(await outcome(verifyLogin('nobody', PASSWORD, '192.0.2.200'))).toBe(WRONG);
    expect(computed).toBe(before);
  });

  test('twenty wrong guesses from an address, over all names', async () => {
    for (let i = 0; i < 20; i += 1) await outcome(verifyLogin(`user${i}`, 'wrong', '2001:db8::1'));
    expect(computed).toBe(20);
    // The same customer has 2^64 of them.
    expect(await outcome(verifyLogin('ann', PASSWORD, '2001:db8::ffff:2'))).toBe(WRONG);
    expect(computed).toBe(20);
    expect(await outcome(verifyLogin('ann', PASSWORD, '2001:db8:0:1::1'))).toBe('ann');
    nowMs += 3_000;
    expect(await outcome(verifyLogin('ann', PASSWORD, '2001:db8::1'))).toBe('ann');
  });

  test('a name under attack does not lock out its address, nor an address the names that it was refused for', async () => {
    for (let i = 0; i < 10; i += 1) await outcome(verifyLogin('bob', 'wrong', `192.0.2.${i + 100}`));
    for (let i = 0; i < 30; i += 1) await outcome(verifyLogin('bob', 'wrong', HOME));
    expect(await outcome(verifyLogin('ann', PASSWORD, HOME))).toBe('ann');
    for (let i = 0; i < 20; i += 1) await outcome(verifyLogin(`user${i}`, 'wrong', HOME));
    for (let i = 0; i < 30; i += 1) await outcome(verifyLogin('ann', 'wrong', HOME));
    expect(await outcome(verifyLogin('ann', PASSWORD, '192.0.2.2'))).toBe('ann');
  });

  test('many guesses at the same time are no more than ten', async () => {
    const guesses = Array.from({ length: 40 }, (_, i) => outcome(verifyLogin('ann', 'wrong', `192.0.2.${i}`)));
    expect(new Set(await Promise.all(guesses))).toEqual(new Set([WRONG]));
    expect(computed).toBe(10);
  });

  test('many right logins at the same time all come in', async () => {
    const logins = Array.from({ length: 40 }, () => outcome(verifyLogin('ann', PASSWORD, HOME)));
    expect(new Set(await Promise.all(logins))).toEqual(new Set(['ann']));
  });

  test('right logins and trouble of ours take no attempt', async () => {
    for (let i = 0; i < 12; i += 1) expect(await outcome(verifyLogin('ann', PASSWORD, HOME))).toBe('ann');
    const full = build({ passwords: createPasswords(createHashQueue({ running: 0, waiting: 0 })) });
    for (let i = 0; i < 25; i += 1) expect(await outcome(full('ann', PASSWORD, HOME))).toMatch(/^QUEUE_FULL/);
    await closeStore(store);
    for (let i = 0; i < 25; i += 1) {
      expect(await outcome(verifyLogin('ann', PASSWORD, HOME))).toMatch(/^STORE_UNAVAILABLE/);
    }
  });

  test('who is disabled or gets another password while the hash is computed does not come in', async () => {
    meanwhile = () => users.setPassword('ann', '$argon2id$other', nowMs + 1);
    expect(await outcome(verifyLogin('ann', PASSWORD, HOME))).toBe(WRONG);
    await users.add(await user('bob'));
    meanwhile = () => users.disable('bob', nowMs);
    expect(await outcome(verifyLogin('bob', PASSWORD, HOME))).toBe(WRONG);
  });

  test('a hash of an import is upgraded at the next login, also at two at once, and not by a wrong one', async () => {
    const passwordHash = await makeBcrypt(PASSWORD, 4);
    await users.add(await user('imported', { passwordHash }));
    expect(await outcome(verifyLogin('imported', 'wrong', HOME))).toBe(WRONG);
    expect((await users.find('imported'))?.passwordHash).toBe(passwordHash);
    const both = [verifyLogin('imported', PASSWORD, HOME), verifyLogin('imported', PASSWORD, HOME)];
    expect(await Promise.all(both.map(outcome))).toEqual(['imported', 'imported']);
    const upgraded = await users.find('imported');
    expect(upgraded?.passwordHash).toMatch(/^\$argon2id\$/);
    expect(upgraded?.passwordChangedAtMs).toBe(nowMs);
    expect(await outcome(verifyLogin('imported', PASSWORD, HOME))).toBe('imported');
    expect((await users.find('imported'))?.passwordHash).toBe(upgraded?.passwordHash);
  });

  test('what bcrypt proved in part only is not upgraded to the rest that was typed', async () => {
    const long = 'x'.repeat(72);
    const passwordHash = await makeBcrypt(long, 4);
    await users.add(await user('imported', { passwordHash }));
    expect(await outcome(verifyLogin('imported', `${long}mistyped`, HOME))).toBe('imported');
    expect((await users.find('imported'))?.passwordHash).toBe(passwordHash);
  });

  test('a user of the configuration goes before the store, keeps the hash, and can be disabled', async () => {
    const configured = await user('imported', { passwordHash: await makeBcrypt(PASSWORD, 4), tier: 'premium' });
    await users.add(await user('imported', { passwordHash: await passwords.hash('another password') }));
    const login = build({}, [configured]);
    expect(await login('imported', PASSWORD, HOME)).toMatchObject({ userId: 'imported', tier: 'premium' });
    expect(await outcome(login('imported', 'another password', HOME))).toBe(WRONG);
    await users.disable('imported', nowMs);
    expect(await outcome(login('imported', PASSWORD, HOME))).toBe(WRONG);
  });
});
