import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { LeaseStanding, type QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { eventually } from '../../test/harness/processes.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { quotaConfigSchema } from './config.ts';
import { createQuotaContext, type QuotaContext } from './context.ts';
import { clientAs, errorOf, principal } from './quota.fixture.ts';

const config = quotaConfigSchema.parse({
  tiers: {
    tokens: { tokens_per_minute: 1_000 },
    busy: { concurrent_requests: 2, concurrent_context_tokens: 500 },
    daily: { tokens_per_day: 100 },
  },
  models: { nickname: { requests_per_hour: 5 } },
  engines: { narrow: { requests_per_hour: 7 } },
  organization_defaults: {},
  reserve_window_tokens: 300,
});

describeStores('leases on tokens', (stores) => {
  let context: QuotaContext;
  let peer: Client<typeof QuotaService>;

  beforeEach(async () => {
    context = createQuotaContext(config, {
      ...{ store: await stores.openEmpty(), now: Date.now, log: pino({ level: 'silent' }) },
    });
    peer = clientAs(context, PEER_PRINCIPAL);
  });
  afterEach(() => context.close());

  const reserve = (id: string, tier: string, promptTokens: number, maxCompletionTokens: number, seconds = 60) =>
    peer.reserve({
      ...{ operationId: `${id}:reserve`, reservationId: id, principal: principal(tier), model: 'm' },
      ...{ promptTokens, maxCompletionTokens, holdFor: { seconds: BigInt(seconds), nanos: 0 } },
    });
  const extendOne = async (reservationId: string, completionTokens: number, wantedCompletionTokens: number) =>
    (await peer.extend({ leases: [{ reservationId, completionTokens, wantedCompletionTokens }] })).leases[0];
  const settle = (id: string, promptTokens: number, completionTokens: number) =>
    peer.settle({ ...{ operationId: `${id}:settle`, reservationId: id, promptTokens, completionTokens, engine: 'e' } });
  const left = async (tier: string) => {
    const { limits } = await peer.getLimits({ principal: principal(tier) });
    return limits.map(({ remaining, held }) => [Number(remaining), Number(held)]);
  };

  test('prompt and window are held, drawn down, extended to what there is, and settled to the token', async () => {
    const first = await reserve('a', 'tokens', 100, 5_000);
    expect(first.coveredCompletionTokens).toBe(300);
    expect(await left('tokens')).toEqual([[600, 400]]);
    // The prompt turns out shorter than its bound, 250 tokens came, and more are wanted than the limit has.
    const { leases } = await peer.extend({
      leases: [{ reservationId: 'a', promptTokens: 40, completionTokens: 250, wantedCompletionTokens: 2_000 }],
    });
    expect(leases[0]).toMatchObject({ standing: LeaseStanding.HELD, coveredCompletionTokens: 960 });
    expect(await left('tokens')).toEqual([[0, 710]]);
    expect((await errorOf(reserve('b', 'tokens', 1, 1))).metadata).toEqual({ limit: 'tier:tokens:tokens:minute' });
    // A late report and a repeated one change nothing.
    expect((await extendOne('a', 100, 300))?.coveredCompletionTokens).toBe(960);
    expect(await left('tokens')).toEqual([[0, 710]]);
    await settle('a', 40, 260);
    expect(await left('tokens')).toEqual([[700, 0]]);
    expect((await extendOne('a', 270, 0))?.standing).toBe(LeaseStanding.ENDED);
    expect((await extendOne('nobody', 1, 0))?.standing).toBe(LeaseStanding.UNKNOWN);
  });

  test('an extension renews the lease', async () => {
    const { expiresAt } = await reserve('a', 'tokens', 1, 10, 2);
    const answer = await extendOne('a', 1, 0);
    const gainedMs = (answer?.expiresAt ? timestampMs(answer.expiresAt) : 0) - (expiresAt ? timestampMs(expiresAt) : 0);
    expect(gainedMs).toBeGreaterThan(50_000);
  });

  test('a lease whose owner was killed is settled at its last report; its owner may still settle it exactly', async () => {
    await reserve('a', 'tokens', 100, 200, 1);
    const lease = { reservationId: 'a', promptTokens: 50, completionTokens: 20 };
    await peer.extend({ leases: [lease], holdFor: { seconds: 0n, nanos: 1_000_000 } });
    await eventually('the lease expires', async () => (await left('tokens'))[0]?.[1] === 0);
    expect(await left('tokens')).toEqual([[930, 0]]);
    const usage = async () => {
      const { rows } = await peer.getUsage({ start: { seconds: BigInt(Math.floor(Date.now() / 1_000) - 86_400) } });
      return rows.map((row) => [Number(row.requests), Number(row.promptTokens), Number(row.completionTokens)]);
    };
    expect(await usage()).toEqual([[1, 50, 20]]);
    await settle('a', 50, 90);
    expect(await usage()).toEqual([[1, 50, 90]]);
    expect(await left('tokens')).toEqual([[860, 0]]);
    await settle('a', 50, 90);
    expect(await usage()).toEqual([[1, 50, 90]]);
  });

  test('what runs at once is free again when it ends', async () => {
    await reserve('a', 'busy', 100, 100);
    await reserve('b', 'busy', 100, 100);
    const third = await errorOf(reserve('c', 'busy', 1, 1));
    expect(third).toMatchObject({ reason: 'RATE_LIMIT_EXCEEDED', retryAfterMs: 1_000 });
    expect(third.message).toBe("Rate limit exceeded. Maximum 2 concurrent requests allowed for tier 'busy'.");
    await settle('a', 100, 7);
    const wide = await errorOf(reserve('d', 'busy', 200, 200));
    expect(wide.message).toBe("Rate limit exceeded. Maximum 500 tokens of concurrent context allowed for tier 'busy'.");
    await reserve('e', 'busy', 200, 100);
    await peer.release({ operationId: 'f', reservationId: 'b' });
    await settle('e', 200, 100);
    expect(await left('busy')).toEqual([
      [2, 0],
      [500, 0],
    ]);
  });

  test('a day’s budget is told apart from a rate, and what no wait helps from both', async () => {
    await reserve('a', 'daily', 50, 40);
    const held = await errorOf(reserve('b', 'daily', 10, 10));
    expect(held).toMatchObject({ reason: 'TOKEN_BUDGET_SPENT', retryAfterMs: 1_000 });
    await settle('a', 50, 40);
    const spent = await errorOf(reserve('c', 'daily', 10, 10));
    expect(spent.message).toBe("Rate limit exceeded. Maximum 100 tokens per day allowed for tier 'daily'.");
    const untilMidnightMs = 86_400_000 - (Date.now() % 86_400_000);
    expect(Math.abs((spent.retryAfterMs ?? 0) - untilMidnightMs)).toBeLessThan(10_000);
    const never = await errorOf(reserve('d', 'daily', 90, 20));
    expect(never.reason).toBe('TOKEN_BUDGET_SPENT');
    expect(never.message).toBe(
      "This request asks for more than the 100 tokens per day allowed for tier 'daily'. Lower max_tokens or shorten the prompt.",
    );
    expect(never.retryAfterMs).toBe(86_400_000);
  });

  test('a dry run tells what would refuse and takes nothing', async () => {
    const self = clientAs(context, principal('daily'));
    const ask = (promptTokens: number) => self.explainLimits({ promptTokens, maxCompletionTokens: 10 });
    expect(await ask(90)).toMatchObject({ allowed: true, refusedBy: [] });
    await reserve('a', 'daily', 50, 40);
    const answer = await ask(20);
    expect(answer).toMatchObject({ allowed: false, refusedBy: ['tier:daily:tokens:day'] });
    expect(answer.retryAfter && durationMs(answer.retryAfter)).toBe(1_000);
    expect(answer.limits.map(({ remaining, held }) => [remaining, held])).toEqual([[10n, 90n]]);
    expect(await left('daily')).toEqual([[10, 90]]);
    expect(await errorOf(peer.explainLimits({}))).toMatchObject({ reason: 'INVALID_FIELD' });
  });

  test('a dry run knows the limits of a model by its other names, and of an engine, as full as they are', async () => {
    const call = { model: 'm', modelNames: ['nickname'], engine: 'narrow' };
    const asked = { operationId: 'x', reservationId: 'x', ...call, principal: principal('unlimited') };
    await peer.reserve({ ...asked, promptTokens: 1, maxCompletionTokens: 1 });
    const { limits } = await clientAs(context, principal('unlimited')).explainLimits(call);
    expect(limits.map(({ limit, remaining }) => [limit?.id, remaining])).toEqual([
      ['model:nickname:requests:hour', 4n],
      ['engine:narrow:requests:hour', 6n],
    ]);
  });

  test('a dry run tells nothing about an address that is not the caller’s own', async () => {
    const asked = { clientIp: '203.0.113.9' };
    const stranger = clientAs(context, principal('daily'));
    expect(await errorOf(stranger.explainLimits(asked))).toMatchObject({ reason: 'SCOPE_MISSING' });
    const admin = clientAs(context, principal('daily', { scopes: [Scope.ADMIN] }));
    expect(await admin.explainLimits(asked)).toMatchObject({ allowed: true });
  });

  test('held leases are listed, the oldest first, in pages', async () => {
    for (const id of ['a', 'b', 'c']) await reserve(id, 'tokens', 10, 20);
    await extendOne('b', 5, 0);
    const first = await peer.listReservations({ pageSize: 2 });
    expect(first.reservations.map((lease) => [lease.reservationId, lease.heldTokens])).toEqual([
      ['a', 30n],
      ['b', 25n],
    ]);
    expect(first.reservations[1]).toMatchObject({ model: 'm', reportedCompletionTokens: 5 });
    expect(first.reservations[1]?.principal?.keyId).toBe('key-tokens');
    const second = await peer.listReservations({ pageSize: 2, pageToken: first.nextPageToken });
    expect(second.reservations.map(({ reservationId }) => reservationId)).toEqual(['c']);
    expect(second.nextPageToken).toBe('');
  });
});
