import { importedKeyId } from './api-key.ts';
import type { KeyRecord, KeyStore } from './store/key-store.ts';

/** Keys that are read at a time. */
const PAGE = 1_000;

/**
 * How many imported keys of the store can be guessed and are still valid. Reads all keys.
 *
 * @throws MeshError STORE_UNAVAILABLE.
 */
export async function countWeakKeys(keys: Pick<KeyStore, 'list'>, nowMs: number): Promise<number> {
  let count = 0;
  let after: string | undefined;
  do {
    const page = await keys.list({ limit: PAGE, after });
    count += page.records.filter((record) => isWeak(record, nowMs)).length;
    after = page.next;
  } while (after !== undefined);
  return count;
}

/** A rotation gives a key a secret of ours; the imported one goes on for its grace time. */
function isWeak({ keyId, hash, previous, isWeak: wasWeak, revokedAtMs }: KeyRecord, nowMs: number): boolean {
  if (!wasWeak || revokedAtMs !== undefined) return false;
  const valid = [hash, ...previous.filter(({ validUntilMs }) => validUntilMs > nowMs).map((secret) => secret.hash)];
  return valid.some((one) => importedKeyId(Buffer.from(one, 'hex')) === keyId);
}
