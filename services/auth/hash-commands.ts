import { MeshError } from '../shared/errors/mesh-error.ts';
import { ConfigError } from '../shared/lifecycle/config-source.ts';
import { hashKey } from './api-key.ts';
import { createHashQueue } from './hash-queue.ts';
import { isWeakKey } from './key-strength.ts';
import { createPasswords } from './password.ts';
import { requireStrongPassword } from './user-policy.ts';

/** What a command prints. */
export interface HashOutput {
  /** For `auth.api_keys[].hash` or `auth.users[].password_hash`. */
  readonly hash: string;
  /** What speaks against the secret. */
  readonly warning?: string;
}

/** The longest key, in bytes: what a header holds with room for others. */
const MAX_KEY_BYTES = 4_096;

/** The shortest password in characters, the longest in bytes, as CreateUser has them. */
const LEAST_PASSWORD = 12;
const MAX_PASSWORD_BYTES = 1_024;

/**
 * `keys hash`: what `auth.api_keys` takes of a key.
 *
 * @param pepper that of the data directory or of MESH_PEPPER_FILE; with another one the mesh does not know the key
 * @throws ConfigError for what no header can carry.
 */
export function hashOfKey(key: string, pepper: Uint8Array): HashOutput {
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > MAX_KEY_BYTES) {
    throw new ConfigError(`the key: expected one line of 1 to ${MAX_KEY_BYTES} printable characters without spaces`);
  }
  const hash = hashKey(key, pepper).toString('hex');
  if (!isWeakKey(key)) return { hash };
  return { hash, warning: 'this key can be guessed: it has less than 128 bits. Better let the mesh make one.' };
}

/**
 * `users hash`: what `auth.users` takes of a password, argon2id.
 *
 * @throws ConfigError for a password that CreateUser refuses too.
 */
export async function hashOfPassword(password: string): Promise<HashOutput> {
  const bytes = Buffer.byteLength(password);
  if ([...password].length < LEAST_PASSWORD || bytes > MAX_PASSWORD_BYTES) {
    throw new ConfigError(`the password: expected ${LEAST_PASSWORD} characters to ${MAX_PASSWORD_BYTES} bytes`);
  }
  try {
    requireStrongPassword('the password', password, '');
  } catch (error) {
    throw error instanceof MeshError ? new ConfigError(error.message) : error;
  }
  return { hash: await createPasswords(createHashQueue({ running: 1, waiting: 0 })).hash(password) };
}
