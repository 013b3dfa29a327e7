import { create } from '@bufbuild/protobuf';
import { CredentialKind, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { quotaConfigSchema } from '../../services/quota/config.ts';
import { createLimits } from '../../services/quota/limits.ts';
import type { QuotaStore, Reservation } from '../../services/quota/store/quota-store.ts';

const MANY = 1_000_000_000;

/** Seven limits, as a standard key has, none of which is reached: requests per minute and hour of its tier, … */
const limits = createLimits(
  quotaConfigSchema.parse({
    tiers: { bench: { requests_per_minute: MANY / 10, requests_per_hour: MANY } },
    user_defaults: { tokens_per_minute: MANY },
    organization_defaults: { tokens_per_day: MANY, requests_per_day: MANY, tokens_per_month: MANY },
    per_ip: { requests_per_second: MANY },
  }),
);

/** The n-th of many callers; a hundred of them share an organisation. */
export function limitsOfCaller(n: number): Reservation['limits'] {
  return limits.of({ ...who(n), model: 'chat', modelNames: [], engine: '' });
}

/** Reserve and Settle of one request by the n-th caller. */
export async function requestOf(quota: QuotaStore, n: number, id: string): Promise<void> {
  const { principal } = who(n);
  const { keyId, userId, organizationId } = principal;
  const reserved = await quota.reserve({
    ...{ reservationId: id, operationId: `${id}:reserve`, model: 'chat', holdMs: 60_000, limitsVersion: 0 },
    ...{ holder: { keyId, userId, organizationId }, limits: limitsOfCaller(n), isCounted: true },
    ...{ promptBound: 400, maxCompletionTokens: 4_096, coveredTokens: 4_096 },
  });
  if (reserved.kind !== 'admitted') throw new Error(`a reservation was ${JSON.stringify(reserved)}`);
  const settled = await quota.settle(id, { promptTokens: 300, completionTokens: 250, engine: 'engine' });
  if (settled.kind !== 'done') throw new Error(`a settlement was ${settled.kind}`);
}

function who(n: number) {
  const name = String(n).padStart(8, '0');
  const principal = create(PrincipalSchema, {
    ...{
      keyId: `key${name}`,
      userId: `user${name}`,
      organizationId: `org${String(Math.floor(n / 100)).padStart(6, '0')}`,
    },
    ...{ tier: 'bench', kind: CredentialKind.API_KEY },
  });
  return { principal, clientIp: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` };
}
