import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { LimitScope, LimitUnit, LimitWindow } from '../../gen/mesh/quota/v1/limit_pb.ts';
import { QuotaService, UsageGrouping } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type Ledger, readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const quota = {
  tiers: { pair: { concurrent_requests: 2 }, hourly: { tokens_per_hour: 1_000 } },
  engines: { narrow: { concurrent_requests: 1 } },
  per_ip: { requests_per_hour: 5 },
};

describe.each(arrangements())('limits on tokens, concurrency, engines and addresses, %s', (arrangement) => {
  let mesh: TestMesh;
  const engines: FakeEngine[] = [];
  beforeAll(async () => {
    engines.push(await startFakeEngine(), await startFakeEngine());
    const models = ['fake', 'narrow'].map((name, i) => ({
      ...{ name, engine: 'openai', base_url: engines[i]?.baseUrl, required: true },
    }));
    mesh = await startMesh(arrangement, { config: { inference: { models }, quota } });
  });
  afterAll(async () => {
    await mesh.stop();
    await Promise.all(engines.map((engine) => engine.stop()));
  });

  const asAdmin = () => ({ headers: { authorization: `Bearer ${mesh.adminKey}` } });
  const quotaClient = () => createClient(QuotaService, createGrpcTransport({ baseUrl: mesh.url }));

  async function newKey(tier: string): Promise<{ id: string; secret: string }> {
    const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
    const { apiKey, secret } = await auth.createApiKey({ tier, organizationId: 'default' }, asAdmin());
    return { id: apiKey?.keyId ?? '', secret };
  }

  function chat(secret: string, body: object = {}, headers: Record<string, string> = {}, signal?: AbortSignal) {
    const whole = { model: 'fake', messages: [{ role: 'user', content: 'hi' }], max_tokens: 4, ...body };
    return fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': secret, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(whole),
      ...(signal ? { signal } : {}),
    });
  }

  function settled(keyId: string): Promise<Ledger> {
    return eventually('everything is settled', async () => {
      const ledger = await readLedger(mesh, keyId);
      return ledger.held === 0 ? ledger : undefined;
    });
  }

  const detailOf = async (answer: Response) => ((await answer.json()) as { detail: string }).detail;

  test('the token headers tell the tightest limit, what runs held; they are settled to the token', async () => {
    await engines[0]?.script({ tokens: 4 });
    const key = await newKey('hourly');
    const first = await chat(key.secret);
    expect(first.status).toBe(200);
    expect(first.headers.get('x-ratelimit-limit-tokens')).toBe('1000');
    expect(Number(first.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(996);
    expect(first.headers.get('x-ratelimit-limit-minute')).toBe('2147483647');
    const { promptTokens, completionTokens } = await settled(key.id);
    const { limits } = await quotaClient().getLimits({}, { headers: { authorization: `Bearer ${key.secret}` } });
    const hour = limits.find(({ limit }) => limit?.id === 'tier:hourly:tokens:hour');
    expect(hour).toMatchObject({ remaining: BigInt(1_000 - promptTokens - completionTokens), held: 0n });

    const tooMuch = await chat(key.secret, { max_tokens: 2_000 });
    expect(tooMuch.status).toBe(429);
    expect(tooMuch.headers.get('x-should-retry')).toBe('false');
    expect(await tooMuch.json()).toMatchObject({
      detail: expect.stringContaining("more than the 1000 tokens per hour allowed for tier 'hourly'. Lower max_tokens"),
      error: { type: 'rate_limit_error', code: 'insufficient_quota' },
    });
  });

  test('a third request at once is refused, and admitted when one of the two is gone', async () => {
    await engines[0]?.script({ atToken: 2, tokens: 50, fault: 'hang' });
    const key = await newKey('pair');
    const leaving = [new AbortController(), new AbortController()];
    for (const { signal } of leaving) {
      expect((await chat(key.secret, { stream: true, max_tokens: 50 }, {}, signal)).status).toBe(200);
    }
    const third = await chat(key.secret);
    expect(third.status).toBe(429);
    expect(third.headers.get('retry-after')).toBe('1');
    expect(await detailOf(third)).toBe("Rate limit exceeded. Maximum 2 concurrent requests allowed for tier 'pair'.");
    leaving[0]?.abort();
    await engines[0]?.script({ tokens: 4 });
    await eventually('there is room again', async () => (await chat(key.secret)).status === 200);
    leaving[1]?.abort();
    expect(await settled(key.id)).toMatchObject({ requests: 3 });
  });

  test('an engine has limits of its own, whoever calls, and the admin key too', async () => {
    await engines[1]?.script({ atToken: 1, tokens: 50, fault: 'hang' });
    const key = await newKey('premium');
    const leaving = new AbortController();
    const busy = { model: 'narrow', stream: true, max_tokens: 50 };
    expect((await chat(key.secret, busy, {}, leaving.signal)).status).toBe(200);
    const refused = await chat(mesh.adminKey, { model: 'narrow' });
    expect(refused.status).toBe(429);
    expect(await detailOf(refused)).toBe('Rate limit exceeded. Maximum 1 concurrent requests allowed for this engine.');
    await engines[0]?.script({ tokens: 1 });
    expect((await chat(mesh.adminKey)).status).toBe(200);
    leaving.abort();
    await settled(key.id);
  });

  test('an address that a trusted proxy names has limits of its own, whichever keys it uses', async () => {
    await engines[0]?.script({ tokens: 1 });
    const from = (address: string, secret: string) => chat(secret, {}, { 'x-forwarded-for': address });
    const keys = [await newKey('premium'), await newKey('premium')];
    for (let i = 0; i < 5; i += 1) {
      expect((await from('2001:db8:0:7::1', keys[i % 2]?.secret ?? '')).status).toBe(200);
    }
    const sixth = await from('2001:db8:0:7:ffff::2', keys[1]?.secret ?? '');
    expect(sixth.status).toBe(429);
    expect(await detailOf(sixth)).toBe('Rate limit exceeded. Maximum 5 requests per hour allowed for this address.');
    expect((await from('2001:db8:0:8::1', keys[1]?.secret ?? '')).status).toBe(200);
    expect((await chat(keys[1]?.secret ?? '')).status).toBe(200);
  });

  test('SetLimits by gRPC holds at once over REST; GetUsage sums what was settled; what is held can be listed', async () => {
    await engines[0]?.script({ tokens: 4 });
    const key = await newKey('premium');
    const limit = { id: 'x', scope: LimitScope.KEY, unit: LimitUnit.REQUESTS, window: LimitWindow.MINUTE, maximum: 1n };
    await quotaClient().setLimits({ scope: LimitScope.KEY, subject: key.id, limits: [limit] }, asAdmin());
    expect((await chat(key.secret)).status).toBe(200);
    const refused = await chat(key.secret);
    expect(refused.status).toBe(429);
    expect(await detailOf(refused)).toBe('Rate limit exceeded. Maximum 1 requests per minute allowed for this key.');
    const { promptTokens, completionTokens } = await settled(key.id);
    const start = { seconds: BigInt(Math.floor(Date.now() / 1_000) - 60) };
    const { rows } = await quotaClient().getUsage({ start, groupBy: [UsageGrouping.KEY] }, asAdmin());
    expect(rows.find(({ keyId }) => keyId === key.id)).toMatchObject({
      ...{ requests: 1n, promptTokens: BigInt(promptTokens), completionTokens: BigInt(completionTokens) },
    });
    expect((await quotaClient().listReservations({}, asAdmin())).reservations).toEqual([]);
    const explained = await quotaClient().explainLimits({}, { headers: { authorization: `Bearer ${key.secret}` } });
    expect(explained).toMatchObject({ allowed: false, refusedBy: [`key:${key.id}:requests:minute`] });
  });
});
