import { isSameHash } from './api-key.ts';
import type { KeyRecord } from './store/key-store.ts';

const NO_HASH = '00'.repeat(32);

/** Digits of a hash that tell the few secrets of one key apart, and nothing about them. */
const SECRET_ID_LENGTH = 12;

/** Names a secret, by its hash in hex, among all that its key has had. */
export function secretIdOf(hash: string): string {
  return hash.slice(0, SECRET_ID_LENGTH);
}

/** As endOfSecret, for a secret that was presented before. Pure. */
export function endOfNamedSecret(record: KeyRecord, secretId: string): number | undefined {
  const endsAtMs = record.expiresAtMs ?? Number.POSITIVE_INFINITY;
  if (secretId === secretIdOf(record.hash)) return endsAtMs;
  const previous = record.previous.find(({ hash }) => secretId === secretIdOf(hash));
  return previous && Math.min(endsAtMs, previous.validUntilMs);
}

/**
 * When a secret of a key ends, in milliseconds since the epoch, infinity where it does not; undefined when it is none of its
 * secrets. A key that there is not costs a comparison too. Pure.
 */
export function endOfSecret(record: KeyRecord | undefined, hash: Uint8Array): number | undefined {
  const isIt = (known: string): boolean => isSameHash(Buffer.from(known, 'hex'), hash);
  const isCurrent = isIt(record?.hash ?? NO_HASH);
  if (!record) return undefined;
  const endsAtMs = record.expiresAtMs ?? Number.POSITIVE_INFINITY;
  if (isCurrent) return endsAtMs;
  const previous = record.previous.find((secret) => isIt(secret.hash));
  return previous && Math.min(endsAtMs, previous.validUntilMs);
}
