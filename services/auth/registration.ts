import { create } from '@bufbuild/protobuf';
import { type Principal, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { networkOf } from '../shared/interceptors/network.ts';
import { hasScope } from '../shared/interceptors/principal.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { DEFAULT_ORGANIZATION, DEFAULT_TIER, type KeyDraft, requireScope } from './key-policy.ts';
import type { KeyService } from './key-service.ts';
import type { KeyRecord } from './store/key-store.ts';

/**
 * Makes a key of tier "standard" with scope `generate`: an admin's for the user `username`, anyone else's, where
 * registration is open, with that name and without a user. `clientIp` empty: unknown, all of those together.
 *
 * @throws MeshError CREDENTIAL_MISSING, SCOPE_MISSING, RATE_LIMIT_EXCEEDED, STORE_UNAVAILABLE.
 */
export type Register = (
  username: string,
  caller: Principal | undefined,
  clientIp: string,
) => Promise<{ record: KeyRecord; secret: string }>;

/** Keys that one address may make by itself: a burst, and so many per minute. It counts in this process alone. */
const PER_ADDRESS = { burst: 5, perMinute: 1 };

/** How long a refused address is told to wait, in milliseconds: until it has one more. */
const RETRY_AFTER_MS = 60_000 / PER_ADDRESS.perMinute;

/** Who makes the keys of those that are nobody. */
const ANYONE = create(PrincipalSchema, {
  organizationId: DEFAULT_ORGANIZATION,
  tier: DEFAULT_TIER,
  scopes: [Scope.GENERATE],
});

/** Builds it; `now` in milliseconds since the epoch. */
export function createRegistration(parts: {
  readonly isOpen: boolean;
  readonly keys: Pick<KeyService, 'create'>;
  readonly now: () => number;
}): Register {
  const { isOpen, keys, now } = parts;
  const limit = createAttemptLimit(PER_ADDRESS);

  function takeOne(address: string): void {
    if (!limit.allows(address, now())) {
      throw new MeshError('RATE_LIMIT_EXCEEDED', 'Too many keys were made from this address. Try again later.', {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    limit.take(address, now());
  }

  return async (username, caller, clientIp) => {
    if (caller && hasScope(caller, Scope.ADMIN)) return await keys.create(draftFor(username, username), caller);
    if (!isOpen) {
      if (!caller) throw new MeshError('CREDENTIAL_MISSING', 'Send the API key of an admin as Authorization: Bearer.');
      requireScope(caller, Scope.ADMIN);
    }
    takeOne(networkOf(clientIp));
    // Nobody proved to be that user, whose tasks and usage the key would otherwise show.
    return await keys.create(draftFor(username, ''), ANYONE);
  };
}

function draftFor(name: string, userId: string): KeyDraft {
  return {
    ...{ name, userId, organizationId: DEFAULT_ORGANIZATION, tier: DEFAULT_TIER },
    ...{ scopes: [Scope.GENERATE], models: [], allowedIpRanges: [] },
  };
}
