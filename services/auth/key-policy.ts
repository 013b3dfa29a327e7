import { type Principal, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { invalidField, MeshError } from '../shared/errors/mesh-error.ts';
import { hasScope } from '../shared/interceptors/principal.ts';
import { isIpRange } from './ip-ranges.ts';
import { scopeNameOf } from './scope-names.ts';
import type { KeyRecord } from './store/key-store.ts';
import type { UserRecord } from './store/user-store.ts';
import { requireTier } from './user-policy.ts';

/** A key that is asked for. */
export type KeyDraft = Pick<
  KeyRecord,
  'name' | 'userId' | 'organizationId' | 'tier' | 'scopes' | 'models' | 'allowedIpRanges' | 'expiresAtMs'
>;

/** The tier of a key that nobody chose one for. */
export const DEFAULT_TIER = 'standard';

/** The organisation of whoever belongs to none. */
export const DEFAULT_ORGANIZATION = 'default';

/** The organisation of a key that is asked for. */
export function organizationOf({ organizationId }: KeyDraft, maker: Principal): string {
  return organizationId || maker.organizationId || DEFAULT_ORGANIZATION;
}

/** What a maker leaves out, filled in; `organizationTier` is that of the organisation's new keys. */
export function completeDraft(draft: KeyDraft, maker: Principal, organizationTier: string): KeyDraft {
  return {
    ...draft,
    userId: draft.userId || maker.userId,
    organizationId: organizationOf(draft, maker),
    tier: draft.tier || organizationTier,
    scopes: draft.scopes.length > 0 ? [...new Set(draft.scopes)] : [Scope.GENERATE],
    // Empty means all: a maker that has some models only passes on those.
    models: draft.models.length > 0 ? draft.models : maker.models,
  };
}

/**
 * Checks that a maker may make a key: nobody gives what it does not have. A tier other than one's own, the organisation's or
 * the default needs `admin`, else any holder of `keys:manage` could lift its limits.
 *
 * @throws MeshError SCOPE_MISSING or INVALID_FIELD. `tiers` unset: any tier exists.
 */
export function requireMayMake(
  draft: KeyDraft,
  maker: Principal,
  organizationTier: string,
  nowMs: number,
  tiers: ReadonlySet<string> | undefined,
): void {
  requireTier(draft.tier, tiers);
  const badRange = draft.allowedIpRanges.findIndex((range) => !isIpRange(range));
  if (badRange >= 0) throw invalidField(`allowed_ip_ranges[${badRange}]`, 'is no range such as 10.0.0.0/8');
  if (draft.expiresAtMs !== undefined && draft.expiresAtMs <= nowMs) throw invalidField('expires_at', 'is in the past');
  if (hasScope(maker, Scope.ADMIN)) return;
  for (const scope of draft.scopes) requireScope(maker, scope);
  const isOwn = draft.organizationId === maker.organizationId;
  const isGranted = [maker.tier, organizationTier, DEFAULT_TIER].includes(draft.tier);
  if (!isOwn || !isGranted) requireScope(maker, Scope.ADMIN);
  if (!grantsAll(maker.models) && !draft.models.every((model) => maker.models.includes(model))) {
    requireScope(maker, Scope.ADMIN);
  }
}

/**
 * Checks that a maker may make a key for a user other than itself: the key spends that user's limits and sees that user's tasks.
 *
 * @param user undefined: there is none of that name, and nobody says whose it will be
 * @throws MeshError SCOPE_MISSING.
 */
export function requireMayActFor(user: Pick<UserRecord, 'organizationId'> | undefined, maker: Principal): void {
  if (user?.organizationId !== maker.organizationId) requireScope(maker, Scope.ADMIN);
}

/** Whether a caller may see a key. */
export function maySee(caller: Principal, record: KeyRecord): boolean {
  return hasScope(caller, Scope.ADMIN) || record.organizationId === caller.organizationId;
}

/**
 * Checks that a caller may end a key that it sees: not one that can do more than itself.
 *
 * @throws MeshError SCOPE_MISSING.
 */
export function requireMayRevoke(caller: Principal, record: KeyRecord): void {
  for (const scope of record.scopes) requireScope(caller, scope);
}

/**
 * Checks that a caller may give a key that it sees a new secret: whoever does gets all that the key can do.
 *
 * @throws MeshError SCOPE_MISSING.
 */
export function requireMayRotate(caller: Principal, { scopes, tier, models }: KeyRecord): void {
  if (hasScope(caller, Scope.ADMIN)) return;
  for (const scope of scopes) requireScope(caller, scope);
  const hasModels = grantsAll(caller.models) || (!grantsAll(models) && models.every((m) => caller.models.includes(m)));
  if ((tier !== caller.tier && tier !== DEFAULT_TIER) || !hasModels) requireScope(caller, Scope.ADMIN);
}

/**
 * Checks that a caller has a right.
 *
 * @throws MeshError SCOPE_MISSING.
 */
export function requireScope(caller: Principal, scope: Scope): void {
  if (hasScope(caller, scope)) return;
  const name = scopeNameOf(scope);
  throw new MeshError('SCOPE_MISSING', `This needs the scope "${name}".`, { metadata: { scope: name } });
}

function grantsAll(models: readonly string[]): boolean {
  return models.length === 0 || models.includes('*');
}
