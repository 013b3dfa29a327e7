import { ConfigError } from '../shared/lifecycle/config-source.ts';
import { createHashQueue } from './hash-queue.ts';
import { createPasswords } from './password.ts';

/** Passwords that systems come with or show in their documentation. Few, because each costs a hash per user. */
const DEFAULTS = ['admin123', 'admin', 'password', 'password123', 'changeme', 'secret', 'user123', '123456'];

/** Somebody with a hash of a password. */
export interface NamedHash {
  readonly name: string;
  readonly passwordHash: string;
}

/**
 * Refuses users whose password everybody knows: a default one, or their name. To be asked where others reach the port. Takes as
 * long as nine logins of each.
 *
 * @throws ConfigError that names the user.
 */
export async function requireOwnPasswords(users: readonly NamedHash[]): Promise<void> {
  const passwords = createPasswords(createHashQueue({ running: 1, waiting: 1 }));
  for (const { name, passwordHash } of users) {
    for (const password of new Set([...DEFAULTS, name])) {
      if (!(await passwords.verify(password, passwordHash))) continue;
      throw new ConfigError(
        `user '${name}' has a password that everybody knows, and server.host is no loopback address: set another, or set auth.allow_weak_keys or MESH_ALLOW_WEAK_KEYS=1`,
      );
    }
  }
}
