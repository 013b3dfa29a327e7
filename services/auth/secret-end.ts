import { isSameHash } from './api-key.ts';
import type { KeyRecord } from './store/key-store.ts';

const NO_HASH = '00'.repeat(32);

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
