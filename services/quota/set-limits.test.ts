import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { LimitScope, LimitUnit, LimitWindow } from '../../gen/mesh/quota/v1/limit_pb.ts';
import { type QuotaService, UsageGrouping } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { quotaConfigSchema } from './config.ts';
import { createQuotaContext, type QuotaContext } from './context.ts';
import { clientAs, errorOf, principal } from './quota.fixture.ts';

const log = pino({ level: 'silent' });
const config = quotaConfigSchema.parse({ organization_defaults: {}, keys: { k: { requests_per_day: 50 } } });

/** A limit of the key "k". */
function limit(maximum: bigint, window: LimitWindow = LimitWindow.DAY, more: object = {}) {
  return { id: 'x', scope: LimitScope.KEY, unit: LimitUnit.REQUESTS, window, maximum, ...more };
}

describeStores('limits that are set while the mesh runs', (stores) => {
  const contexts: QuotaContext[] = [];
  let first: Client<typeof QuotaService>;
  let second: Client<typeof QuotaService>;

  beforeEach(async () => {
    // Two processes on one store.
    for (const store of [await stores.openEmpty(), await stores.open()]) {
      contexts.push(createQuotaContext(config, { store, now: Date.now, log }));
    }
    [first, second] = contexts.map((context) => clientAs(context, PEER_PRINCIPAL)) as [typeof first, typeof second];
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
  });

  let ids = 0;
  const reserve = (client: typeof first) => {
    ids += 1;
    const names = { operationId: `o${ids}`, reservationId: `r${ids}`, model: 'm' };
    return client.reserve({ ...names, principal: principal('unlimited', { keyId: 'k', organizationId: 'acme' }) });
  };
  const idsOf = ({ limits }: { limits: { limit?: { id: string; maximum: bigint } | undefined }[] }) =>
    limits.map((state) => `${state.limit?.id} ${state.limit?.maximum}`);

  test('hold from the next reservation on in every process, and go before the configuration', async () => {
    expect(idsOf(await reserve(first))).toEqual(['key:k:requests:day 50']);
    const { limits } = await first.setLimits({ scope: LimitScope.KEY, subject: 'k', limits: [limit(3n)] });
    expect(limits.map(({ id, maximum }) => [id, maximum])).toEqual([['key:k:requests:day', 3n]]);
    // What was consumed before counts, in the other process too, which was told nothing.
    const answer = await reserve(second);
    expect(idsOf(answer)).toEqual(['key:k:requests:day 3']);
    expect(answer.limits[0]?.remaining).toBe(1n);
    await reserve(first);
    expect((await errorOf(reserve(second))).message).toBe(
      'Rate limit exceeded. Maximum 3 requests per day allowed for this key.',
    );
    const { limits: again } = await second.setLimits({ scope: LimitScope.KEY, subject: 'k' });
    expect(again.map(({ maximum }) => maximum)).toEqual([50n]);
    expect((await reserve(first)).limits[0]?.remaining).toBe(46n);
  });

  // A server that comes back with what its last snapshot had; here with nothing.
  test.runIf(stores.kind === 'redis')('are read anew from a store that lost the last changes', async () => {
    const set = (maximum: bigint) => first.setLimits({ scope: LimitScope.KEY, subject: 'k', limits: [limit(maximum)] });
    await set(3n);
    await set(2n);
    expect(idsOf(await reserve(second))).toEqual(['key:k:requests:day 2']);
    await stores.openEmpty();
    expect(idsOf(await reserve(first))).toEqual(['key:k:requests:day 50']);
    await set(7n);
    expect(idsOf(await reserve(second))).toEqual(['key:k:requests:day 7']);
  });

  test('survive a restart', async () => {
    await first.setLimits({
      scope: LimitScope.ORGANIZATION,
      subject: 'acme',
      limits: [limit(0n, undefined, { scope: LimitScope.ORGANIZATION })],
    });
    const reopened = createQuotaContext(config, { store: await stores.open(), now: Date.now, log });
    contexts.push(reopened);
    expect((await errorOf(reserve(clientAs(reopened, PEER_PRINCIPAL)))).reason).toBe('TOKEN_BUDGET_SPENT');
  });

  test.each([
    ['of an address', { scope: LimitScope.CLIENT_IP, subject: '203.0.113.9' }, 'scope'],
    ['of a tier that is not there', { scope: LimitScope.TIER, subject: 'gold' }, 'subject'],
    ['of the tier without limits', { scope: LimitScope.TIER, subject: 'unlimited' }, 'subject'],
    ['of two scopes', { limits: [limit(1n, undefined, { scope: LimitScope.USER })] }, 'limits[0].scope'],
    ['of two subjects', { limits: [limit(1n, undefined, { subject: 'other' })] }, 'limits[0].subject'],
    ['twice the same', { limits: [limit(1n), limit(2n)] }, 'limits[1]'],
    ['hidden ones', { limits: [limit(9n), limit(5n, LimitWindow.MONTH)] }, 'limits[0].maximum'],
    ['too large ones', { limits: [limit(2n ** 32n, LimitWindow.HOUR)] }, 'limits[0].maximum'],
    ['without a time', { limits: [limit(1n, LimitWindow.UNSPECIFIED)] }, 'limits[0].window'],
    ['of what runs at once per hour', { limits: [limit(1n, LimitWindow.HOUR, { unit: 5 })] }, 'limits[0].window'],
    ['a bucket that holds nothing', { limits: [limit(1n, LimitWindow.BUCKET)] }, 'limits[0]'],
    ['a burst without a bucket', { limits: [limit(1n, LimitWindow.DAY, { burst: 5n })] }, 'limits[0].burst'],
  ])('%s are refused by field, and nothing changes', async (_what, request, field) => {
    const error = await errorOf(first.setLimits({ scope: LimitScope.KEY, subject: 'k', ...request }));
    expect(error).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field } });
    expect(idsOf(await reserve(second))).toEqual(['key:k:requests:day 50']);
  });

  test('the ledger, by key, user, organisation, model and day; another’s needs admin', async () => {
    const run = async (id: string, who: object, model: string, completionTokens: number) => {
      const names = { operationId: id, reservationId: id };
      await first.reserve({ ...names, principal: principal('unlimited', who), model });
      await first.settle({ ...names, promptTokens: 10, completionTokens, engine: 'e' });
    };
    await run('1', { keyId: 'a', userId: 'ann', organizationId: 'acme' }, 'x', 1);
    await run('2', { keyId: 'a', userId: 'ann', organizationId: 'acme' }, 'y', 2);
    await run('3', { keyId: 'b', userId: 'ann', organizationId: 'acme' }, 'x', 4);
    await run('4', { keyId: 'c', userId: 'bob', organizationId: 'other' }, 'x', 8);
    const dayMs = 86_400_000;
    const start = timestampFromMs(Date.now() - dayMs);
    const sums = async (groupBy: UsageGrouping[], more: object = {}, client = second) => {
      const { rows } = await client.getUsage({ start, groupBy, ...more });
      return rows
        .map((row) => [
          [row.keyId, row.userId, row.organizationId, row.model].filter(Boolean).join(' '),
          ...[Number(row.requests), Number(row.promptTokens), Number(row.completionTokens)],
        ])
        .toSorted();
    };
    expect(await sums([])).toEqual([['', 4, 40, 15]]);
    expect(await sums([UsageGrouping.KEY])).toEqual([
      ['a', 2, 20, 3],
      ['b', 1, 10, 4],
      ['c', 1, 10, 8],
    ]);
    expect(await sums([UsageGrouping.USER, UsageGrouping.MODEL])).toEqual([
      ['ann x', 2, 20, 5],
      ['ann y', 1, 10, 2],
      ['bob x', 1, 10, 8],
    ]);
    expect(await sums([UsageGrouping.ORGANIZATION], { organizationId: 'acme' })).toEqual([['acme', 3, 30, 7]]);
    const days = (await second.getUsage({ start, groupBy: [UsageGrouping.DAY] })).rows.map(({ day }) => day);
    for (const day of days) expect(Date.now() - Date.parse(`${day}T00:00:00Z`)).toBeLessThan(2 * dayMs);
    expect(await sums([], { start: timestampFromMs(0), end: timestampFromMs(dayMs) })).toEqual([['', 0, 0, 0]]);

    const member = clientAs(
      contexts[1] as QuotaContext,
      principal('free', { organizationId: 'acme', scopes: [Scope.USAGE_READ] }),
    );
    expect(await sums([], {}, member)).toEqual([['', 3, 30, 7]]);
    expect(await errorOf(sums([], { organizationId: 'other' }, member))).toMatchObject({ reason: 'SCOPE_MISSING' });
    for (const wrong of [{ start: undefined }, { end: start }, { start: timestampFromMs(-400 * 366 * dayMs) }]) {
      expect(await errorOf(second.getUsage({ start, ...wrong }))).toMatchObject({ reason: 'INVALID_FIELD' });
    }
  });
});
