import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const START_TIMEOUT_MS = 180_000;
const FLOOD = 200;
const PLACES = 2;
const MAX_WAITING = 150;

// The line is the router's own: one arrangement shows it, the one in which the others are elsewhere.
describe.each(arrangements().slice(-1))('a flood of one organisation, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;

  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: 2 });
    const limits = { max_concurrency: PLACES };
    const models = [{ name: 'chat', engine: 'openai', base_url: engine.baseUrl, required: true, ...limits }];
    mesh = await startMesh(arrangement, {
      config: {
        inference: { models },
        auth: { organizations: ['flood', 'small'].map((id) => ({ id, tier: 'ample' })) },
        quota: { tiers: { ample: { tokens_per_hour: 1_000_000_000 } } },
        router: { queue: { max_waiting: MAX_WAITING } },
      },
    });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  const admin = () => ({ headers: { authorization: `Bearer ${mesh.adminKey}` } });

  async function keyOf(organizationId: string): Promise<string> {
    const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
    return (await auth.createApiKey({ organizationId, tier: 'ample' }, admin())).secret;
  }

  function chat(key: string, signal?: AbortSignal): Promise<Response> {
    return fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 }),
      ...(signal && { signal }),
    });
  }

  /** How many requests hold a reservation: those that run, and those that wait. */
  async function held(): Promise<number> {
    const quota = createClient(QuotaService, createGrpcTransport({ baseUrl: mesh.urls.get('quota') ?? mesh.url }));
    return (await quota.listReservations({ pageSize: 1_000 }, admin())).reservations.length;
  }

  test(
    'is refused beyond the queue, and another organisation waits for a turn or two',
    async () => {
      await engine.script({ tokens: 2, holdAtToken: 0 });
      const [flood, small] = await Promise.all([keyOf('flood'), keyOf('small')]);
      const ended: string[] = [];
      const ask = async (name: string, key: string): Promise<Response> => {
        const response = await chat(key);
        await response.text();
        ended.push(`${name} ${response.status}`);
        return response;
      };
      const flooding = Array.from({ length: FLOOD }, () => ask('flood', flood));
      const refused = FLOOD - PLACES - MAX_WAITING;
      await eventually('the queue is full', () => ended.length === refused);
      expect(new Set(ended)).toEqual(new Set(['flood 503']));
      expect((await engine.counts()).running).toBe(PLACES);

      const others = Array.from({ length: 3 }, () => ask('small', small));
      await eventually('they took the place of three', () => ended.length === refused + others.length);
      await eventually('they wait', async () => (await held()) === PLACES + MAX_WAITING);
      expect(new Set(ended)).toEqual(new Set(['flood 503']));
      const before = ended.length;
      await engine.go();
      expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200, 200]);
      // Those that ran, and turns by turns; some more because answers reach clients in any order.
      expect(ended.length - before).toBeLessThan(30);
      const answers = await Promise.all(flooding);
      const full = answers.filter(({ status }) => status === 503);
      expect(full).toHaveLength(refused + others.length);
      for (const { headers } of full) expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(FLOOD - full.length);
      await eventually('nothing is held', async () => (await held()) === 0);
    },
    START_TIMEOUT_MS,
  );

  test(
    'who waits and leaves keeps nothing, and the node never runs more than it may',
    async () => {
      await engine.script({ tokens: 2, holdAtToken: 0 });
      const key = await keyOf('small');
      const running = Array.from({ length: PLACES }, () => chat(key));
      await eventually('they run', async () => (await engine.counts()).running === PLACES);
      const leaving = new AbortController();
      const waiting = chat(key, leaving.signal).catch(() => 'left');
      await eventually('it waits', async () => (await held()) === PLACES + 1);
      leaving.abort();
      expect(await waiting).toBe('left');
      await eventually('it is gone', async () => (await held()) === PLACES);
      const late = createClient(RouterService, createGrpcTransport({ baseUrl: mesh.url }));
      const prompt = { input: { case: 'text' as const, value: 'hi' } };
      const options = { headers: { authorization: `Bearer ${key}` }, timeoutMs: 500 };
      const events = late.generate({ model: 'chat', prompt, sampling: { maxTokens: 2 } }, options);
      await expect(events[Symbol.asyncIterator]().next()).rejects.toThrow();
      await eventually('it is gone too', async () => (await held()) === PLACES);
      expect((await engine.counts()).running).toBe(PLACES);
      const { served } = await engine.counts();
      await engine.go();
      for (const answer of running) expect((await answer).status).toBe(200);
      expect((await engine.counts()).served - served).toBe(PLACES);
    },
    START_TIMEOUT_MS,
  );
});
