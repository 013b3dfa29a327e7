import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { LoginLimit } from './login-limit.ts';
import type { Passwords } from './password.ts';
import { isCurrentHash } from './password-hash.ts';
import type { UserRecord } from './store/user-store.ts';
import type { UserDirectory } from './user-directory.ts';

/** What a check of logins needs. */
export interface LoginParts {
  readonly users: UserDirectory;
  readonly passwords: Passwords;
  readonly limit: LoginLimit;
  readonly log: Logger;
  /** What a wrong login takes at least, in milliseconds; default 1,000. */
  readonly wrongLoginMs?: number;
}

/**
 * The user whom a password belongs to; `clientIp` empty: unknown.
 *
 * @throws MeshError CREDENTIAL_INVALID, the same for an unknown name, a wrong password, a disabled user and too many
 * attempts; QUEUE_FULL or STORE_UNAVAILABLE.
 */
export type VerifyLogin = (username: string, password: string, clientIp: string) => Promise<UserRecord>;

/**
 * Long enough for a bcrypt hash of the usual cost, so that a wrong password for a user whose hash is still one takes as
 * long as an unknown name.
 */
const WRONG_LOGIN_MS = 1_000;

/** bcrypt looks at so many bytes only; what comes behind them may be mistyped. */
const BCRYPT_BYTES = 72;

/** Makes the check. */
export function createVerifyLogin(parts: LoginParts): VerifyLogin {
  const { users, passwords, limit, log, wrongLoginMs = WRONG_LOGIN_MS } = parts;

  /** The user, when the password is right. */
  async function check(username: string, password: string): Promise<UserRecord | undefined> {
    const found = await users.find(username);
    if (!(await passwords.verify(password, found?.passwordHash)) || !found) return undefined;
    // The hash takes a while; who was disabled or got another password meanwhile does not come in.
    const current = await users.find(username);
    if (!current || current.disabledAtMs !== undefined) return undefined;
    return current.passwordChangedAtMs === found.passwordChangedAtMs ? current : undefined;
  }

  /** Replaces a hash of an import or of older costs now that the password is there to make one from. */
  async function upgrade({ userId, passwordHash }: UserRecord, password: string): Promise<void> {
    if (isCurrentHash(passwordHash)) return;
    const isProvedInPart = passwordHash.startsWith('$2') && Buffer.byteLength(password) > BCRYPT_BYTES;
    if (isProvedInPart) return;
    try {
      await users.upgradeHash(userId, passwordHash, () => passwords.hash(password));
    } catch (error) {
      // The login is valid all the same, and the next one tries again.
      log.warn({ userId, err: error }, 'a password hash was not upgraded');
    }
  }

  return async (username, password, clientIp) => {
    const startedMs = performance.now();
    const decide = await limit.admit(username, clientIp);
    if (!decide) throw invalidLogin();
    let user: UserRecord | undefined;
    try {
      user = await check(username, password);
    } catch (error) {
      decide(false);
      throw error;
    }
    decide(!user);
    if (!user) {
      await delay(Math.max(0, startedMs + wrongLoginMs - performance.now()));
      throw invalidLogin();
    }
    await upgrade(user, password);
    return user;
  };
}

function invalidLogin(): MeshError {
  return new MeshError('CREDENTIAL_INVALID', 'Invalid username or password');
}
