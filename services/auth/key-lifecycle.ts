import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { createKey, hashKey } from './api-key.ts';
import { maySee, requireMayRevoke, requireMayRotate } from './key-policy.ts';
import type { RevocationDelivery } from './revocation-delivery.ts';
import type { KeyRecord, KeyStore, PreviousSecret } from './store/key-store.ts';

/** What the life of keys is made of. */
export interface KeyLifecycleParts {
  readonly keys: KeyStore;
  readonly revocations: Pick<RevocationDelivery, 'tell'>;
  readonly pepper: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Changes and ends keys for a caller. */
export interface KeyLifecycle {
  /**
   * Gives a key a new secret; those before it stay valid for `graceMs` at most, 24 hours where it is unset.
   *
   * @throws MeshError NOT_FOUND, SCOPE_MISSING, CONFLICT for a key that has ended, STORE_UNAVAILABLE.
   */
  rotate(keyId: string, graceMs: number | undefined, caller: Principal): Promise<RotatedKey>;
  /**
   * Ends a key everywhere.
   *
   * @throws MeshError NOT_FOUND, SCOPE_MISSING, STORE_UNAVAILABLE.
   */
  revoke(keyId: string, cutRunningStreams: boolean, caller: Principal): Promise<ChangedKey>;
}

/** A key after a change that everybody is to hear of. */
export interface ChangedKey {
  readonly record: KeyRecord;
  /** Whether everybody was told; else that is still to come. */
  readonly isTold: boolean;
}

/** A key with its new secret. */
export interface RotatedKey extends ChangedKey {
  readonly secret: string;
}

/** How long secrets stay valid after a rotation that does not say, in milliseconds. */
const GRACE_MS = 24 * 3_600_000;

/** Secrets of one key that are valid at once besides the newest; the oldest end first. */
const MAX_PREVIOUS = 4;

/** Builds it. */
export function createKeyLifecycle({ keys, revocations, pepper, now }: KeyLifecycleParts): KeyLifecycle {
  async function find(keyId: string, caller: Principal): Promise<KeyRecord> {
    const found = await keys.find(keyId);
    if (found && maySee(caller, found)) return found;
    throw new MeshError('NOT_FOUND', 'There is no such key.', { metadata: { kind: 'key', id: keyId } });
  }

  return {
    async rotate(keyId, graceMs = GRACE_MS, caller) {
      const found = await find(keyId, caller);
      requireMayRotate(caller, found);
      if (hasEnded(found, now())) throw conflict(keyId, 'The key has ended. Make a new one.');
      const { secret } = createKey(keyId);
      const hash = hashKey(secret, pepper).toString('hex');
      const previous = previousSecrets(found, now(), graceMs);
      if (!(await keys.rotate(keyId, found.hash, { hash, previous }))) {
        throw conflict(keyId, 'The key was rotated by somebody else at the same time.');
      }
      // What was verified with an older secret may be remembered for longer than the grace time.
      const isTold = await revocations.tell({ kind: 'key', id: keyId, cutRunningStreams: false });
      return { record: { ...found, hash, previous }, secret, isTold };
    },
    async revoke(keyId, cutRunningStreams, caller) {
      const found = await find(keyId, caller);
      requireMayRevoke(caller, found);
      const record = (await keys.revoke(keyId, now())) ?? found;
      // Also when it was revoked before: then perhaps not everybody was told.
      return { record, isTold: await revocations.tell({ kind: 'key', id: keyId, cutRunningStreams }) };
    },
  };
}

/** The secrets that stay valid for a while after a rotation. None outlives its grace time, so 0 ends all of them. Pure. */
export function previousSecrets(
  { hash, previous }: Pick<KeyRecord, 'hash' | 'previous'>,
  nowMs: number,
  graceMs: number,
): PreviousSecret[] {
  const endsAtMs = nowMs + graceMs;
  return [...previous, { hash, validUntilMs: endsAtMs }]
    .map((secret) => ({ ...secret, validUntilMs: Math.min(secret.validUntilMs, endsAtMs) }))
    .filter(({ validUntilMs }) => validUntilMs > nowMs)
    .slice(-MAX_PREVIOUS);
}

function hasEnded({ revokedAtMs, expiresAtMs = Number.POSITIVE_INFINITY }: KeyRecord, nowMs: number): boolean {
  return revokedAtMs !== undefined || expiresAtMs <= nowMs;
}

function conflict(keyId: string, message: string): MeshError {
  return new MeshError('CONFLICT', message, { metadata: { kind: 'key', id: keyId } });
}
