import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import type { HashQueue } from './hash-queue.ts';
import {
  ARGON2ID_COST,
  type Argon2idHash,
  DIGEST_BYTES,
  formatArgon2id,
  parsePasswordHash,
  SALT_BYTES,
} from './password-hash.ts';

/** Makes and checks hashes of passwords, off the event loop and a bounded number at a time. */
export interface Passwords {
  /**
   * A new argon2id hash in PHC form.
   *
   * @throws MeshError QUEUE_FULL.
   */
  hash(password: string): Promise<string>;
  /**
   * Whether a password is the one of a hash. Without a hash, or with one of no known form, nobody's: that costs as much and
   * is false.
   *
   * @throws MeshError QUEUE_FULL.
   */
  verify(password: string, hash: string | undefined): Promise<boolean>;
}

/** Computes argon2id on a thread of libuv's pool. */
export type Derive = (password: string, hash: Omit<Argon2idHash, 'kind' | 'digest'>, bytes: number) => Promise<Buffer>;

/** What unknown users are checked against. No password has this digest, and its answer is not used. */
const NOBODY: Argon2idHash = {
  kind: 'argon2id',
  ...ARGON2ID_COST,
  salt: Buffer.alloc(SALT_BYTES),
  digest: Buffer.alloc(DIGEST_BYTES),
};

/** Builds it. `derive` stands in for argon2id where a test counts. */
export function createPasswords(queue: HashQueue, derive: Derive = deriveArgon2id): Passwords {
  async function verifyArgon2id(password: string, hash: Argon2idHash): Promise<boolean> {
    const derived = await queue.run(() => derive(password, hash, hash.digest.byteLength));
    return timingSafeEqual(derived, hash.digest);
  }

  return {
    async hash(password) {
      const recipe = { ...ARGON2ID_COST, salt: randomBytes(SALT_BYTES) };
      return formatArgon2id({ ...recipe, digest: await queue.run(() => derive(password, recipe, DIGEST_BYTES)) });
    },
    async verify(password, text) {
      const hash = text === undefined ? undefined : parsePasswordHash(text);
      if (hash?.kind === 'bcrypt') return await queue.run(() => verifyBcrypt(password, hash.text));
      const isSame = await verifyArgon2id(password, hash ?? NOBODY);
      return hash !== undefined && isSame;
    },
  };
}

const argon2Async = promisify(argon2);

/** With node:crypto. */
export const deriveArgon2id: Derive = (password, { memoryKib, passes, lanes, salt }, bytes) =>
  argon2Async('argon2id', {
    ...{ message: password, nonce: salt, memory: memoryKib, passes, parallelism: lanes, tagLength: bytes },
  });
