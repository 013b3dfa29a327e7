import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { eventually } from '../../test/harness/processes.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { quotaConfigSchema } from './config.ts';
import { createQuotaContext, type QuotaContext } from './context.ts';
import { clientAs, errorOf, principal } from './quota.fixture.ts';

const log = pino({ level: 'silent' });
const config = quotaConfigSchema.parse({ tiers: { tiny: { requests_per_minute: 2, requests_per_hour: 2 } } });

describeStores('the quota service', (stores) => {
  let store: Store;
  let context: QuotaContext;
  let peer: Client<typeof QuotaService>;
  let ids = 0;

  beforeEach(async () => {
    store = await stores.openEmpty();
    context = createQuotaContext(config, { store, now: Date.now, log });
    peer = clientAs(context, PEER_PRINCIPAL);
  });
  afterEach(() => context.close());

  const reserve = (tier: string, more: { holdFor?: { seconds: bigint; nanos: number } } = {}) => {
    ids += 1;
    return peer.reserve({
      operationId: `o${ids}`,
      reservationId: `r${ids}`,
      principal: principal(tier),
      model: 'chat',
      ...more,
    });
  };

  test('a reservation tells the state of every limit, this request counted', async () => {
    const answer = await reserve('standard');
    expect(answer.limits.map(({ limit, remaining }) => [limit?.id, limit?.maximum, remaining])).toEqual([
      ['tier:standard:requests:minute', 30n, 29n],
      ['tier:standard:requests:hour', 300n, 299n],
    ]);
    const holdMs = answer.expiresAt ? timestampMs(answer.expiresAt) - Date.now() : 0;
    expect(Math.abs(holdMs - 60_000)).toBeLessThan(5_000);
    for (const { resetAfter } of answer.limits) expect(resetAfter && durationMs(resetAfter)).toBeGreaterThan(59_000);
  });

  test('the 31st request within a minute is refused in words, with the wait and the state of all limits', async () => {
    await Promise.all(Array.from({ length: 30 }, () => reserve('standard')));
    const error = await errorOf(reserve('standard'));
    expect(error.reason).toBe('RATE_LIMIT_EXCEEDED');
    expect(error.message).toBe("Rate limit exceeded. Maximum 30 requests per minute allowed for tier 'standard'.");
    expect(error.metadata).toEqual({ limit: 'tier:standard:requests:minute' });
    expect(error.retryAfterMs).toBeGreaterThan(55_000);
    expect(error.retryAfterMs).toBeLessThanOrEqual(61_000);
    expect(error.limits.map(({ remaining }) => remaining)).toEqual([0n, 270n]);
  });

  test('when several limits refuse, the first is named and the longest wait is told', async () => {
    await Promise.all([reserve('tiny'), reserve('tiny')]);
    const error = await errorOf(reserve('tiny'));
    expect(error.message).toBe("Rate limit exceeded. Maximum 2 requests per minute allowed for tier 'tiny'.");
    expect(error.retryAfterMs).toBeGreaterThan(3_500_000);
  });

  test('the text of the hour, and of the queue’s bucket', async () => {
    const hourly = createQuotaContext(quotaConfigSchema.parse({ tiers: { h: { requests_per_hour: 300 } } }), {
      ...{ store: await stores.openEmpty(), now: Date.now, log },
    });
    const client = clientAs(hourly, PEER_PRINCIPAL);
    const ask = (i: number, tier: string) =>
      client.reserve({ operationId: `o${i}`, reservationId: `q${tier}${i}`, principal: principal(tier) });
    await Promise.all(Array.from({ length: 300 }, (_, i) => ask(i, 'h')));
    const { message } = await errorOf(ask(300, 'h'));
    expect(message).toBe("Rate limit exceeded. Maximum 300 requests per hour allowed for tier 'h'.");
    const refused = await errorOf(Promise.all(Array.from({ length: 15 }, (_, i) => ask(i, 'queue'))));
    expect(refused.message).toBe("Rate limit exceeded. Maximum 60 requests per minute allowed for tier 'queue'.");
    expect(refused.retryAfterMs).toBeLessThanOrEqual(1_000);
    await hourly.close();
  });

  test('a key without limits has no entries; an unknown tier is refused', async () => {
    expect((await reserve('unlimited')).limits).toEqual([]);
    expect(await errorOf(reserve('gold'))).toMatchObject({
      reason: 'CONFLICT',
      metadata: { kind: 'tier', id: 'gold' },
    });
  });

  test('looking at limits takes nothing, and another’s needs admin', async () => {
    await reserve('free');
    const self = clientAs(context, principal('free'));
    for (let i = 0; i < 20; i += 1) await self.getLimits({});
    const { limits } = await self.getLimits({});
    expect(limits.map(({ remaining }) => remaining)).toEqual([9n, 99n]);
    expect(await errorOf(self.getLimits({ principal: principal('premium') }))).toMatchObject({
      reason: 'SCOPE_MISSING',
    });
    expect((await peer.getLimits({ principal: principal('free') })).limits[0]?.remaining).toBe(9n);
    expect(await errorOf(peer.getLimits({}))).toMatchObject({ reason: 'INVALID_FIELD' });
  });

  test('endings carry the contract’s reasons', async () => {
    const settle = (reservationId: string, completionTokens: number) =>
      peer.settle({ operationId: 's', reservationId, promptTokens: 1, completionTokens, engine: 'e' });
    await peer.reserve({ operationId: 'o', reservationId: 'x', principal: principal('free') });
    const first = await settle('x', 5);
    expect((await settle('x', 5)).settledAt).toEqual(first.settledAt);
    const state = 'settled';
    expect(await errorOf(settle('x', 6))).toMatchObject({
      reason: 'RESERVATION_ENDED',
      metadata: { reservation_id: 'x', state },
    });
    expect(await errorOf(settle('y', 6))).toMatchObject({ reason: 'RESERVATION_NOT_FOUND' });
    const released = { operationId: 'f', reservationId: 'x' };
    expect(await errorOf(peer.release(released))).toMatchObject({ reason: 'RESERVATION_ENDED' });
  });

  test('a lease that nobody ends is swept by itself', async () => {
    await reserve('free', { holdFor: { seconds: 0n, nanos: 1_000_000 } });
    expect((await peer.listReservations({})).reservations).toHaveLength(1);
    const isGone = async (): Promise<boolean> => (await peer.listReservations({})).reservations.length === 0;
    await eventually('the lease is swept', isGone);
  });

  test('a lease of no length is refused', async () => {
    expect(await errorOf(reserve('free', { holdFor: { seconds: 0n, nanos: 0 } }))).toMatchObject({
      reason: 'INVALID_FIELD',
    });
  });
});
