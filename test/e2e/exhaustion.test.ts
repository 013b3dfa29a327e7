import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { FinishReason } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type Ledger, readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const BUDGET = 600;
const quota = {
  tiers: {
    hourly: { tokens_per_hour: BUDGET },
    // "hi" is bounded by more, and is fewer tokens.
    prompts: { prompt_tokens_per_hour: 100 },
  },
  reserve_window_tokens: 100,
};

interface Key {
  readonly id: string;
  readonly secret: string;
}

async function newKey(mesh: TestMesh, tier: string): Promise<Key> {
  const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
  const headers = { authorization: `Bearer ${mesh.adminKey}` };
  const { apiKey, secret } = await auth.createApiKey({ tier }, { headers });
  return { id: apiKey?.keyId ?? '', secret };
}

function chat(mesh: TestMesh, key: Key, body: object): Promise<Response> {
  return fetch(`${mesh.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-api-key': key.secret, 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], ...body }),
  });
}

function settled(mesh: TestMesh, key: Key): Promise<Ledger> {
  return eventually('everything is settled', async () => {
    const ledger = await readLedger(mesh, key.id);
    return ledger.held === 0 && ledger.requests > 0 ? ledger : undefined;
  });
}

describe.each(arrangements())('streams that use a budget up, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    mesh = await startMesh(arrangement, { config: { inference: { models }, quota } });
  });
  afterAll(async () => {
    await mesh.stop();
    await engine.stop();
  });

  test('over REST the stream ends as one that was too long, and the budget is used to the token', async () => {
    await engine.script({ tokens: 5_000, everyMs: 1, continuousUsage: true });
    const key = await newKey(mesh, 'hourly');
    const body = { model: 'fake', stream: true, stream_options: { include_usage: true }, max_tokens: 5_000 };
    const text = await (await chat(mesh, key, { ...body, logprobs: true })).text();
    expect(text).toContain('"finish_reason":"length"');
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const delivered = Math.max(...[...text.matchAll(/"content":"[^"]* t(\d+)"/g)].map(([, at]) => Number(at))) + 1;
    const ledger = await settled(mesh, key);
    expect(ledger.completionTokens).toBe(delivered);
    expect(text).toContain(`"completion_tokens":${delivered}`);
    expect(ledger.promptTokens + ledger.completionTokens).toBe(BUDGET);
    await eventually('the engine was told to stop', async () => (await engine.counts()).running === 0);
    expect((await chat(mesh, key, { model: 'fake', max_tokens: 1 })).status).toBe(429);
  });

  test('over gRPC it says why', async () => {
    await engine.script({ tokens: 5_000, everyMs: 1, continuousUsage: true });
    const key = await newKey(mesh, 'hourly');
    const client = createClient(RouterService, createGrpcTransport({ baseUrl: mesh.url }));
    const prompt = { input: { case: 'text' as const, value: 'hi' } };
    const request = { model: 'fake', prompt, sampling: { maxTokens: 5_000 } };
    const headers = { authorization: `Bearer ${key.secret}` };
    const events = await Array.fromAsync(client.generate(request, { headers }));
    const [finished, usage] = events.slice(-2).map(({ event }) => event);
    expect(finished).toMatchObject({ case: 'finished', value: { reason: FinishReason.QUOTA_EXHAUSTED } });
    const ledger = await settled(mesh, key);
    expect(usage).toMatchObject({ case: 'usage', value: { completionTokens: ledger.completionTokens } });
    expect(ledger.promptTokens + ledger.completionTokens).toBeLessThanOrEqual(BUDGET);
  });

  test('50 at once never use more than there is, and what they were told is what they pay', async () => {
    await engine.script({ everyMs: 1, continuousUsage: true });
    const key = await newKey(mesh, 'hourly');
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const answer = await chat(mesh, key, { model: 'fake', max_tokens: 400 });
        return { status: answer.status, body: (await answer.json()) as { usage: { completion_tokens: number } } };
      }),
    );
    const good = answers.filter(({ status }) => status === 200);
    expect(good.length).toBeGreaterThan(0);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(50 - good.length);
    const told = good.reduce((sum, { body }) => sum + body.usage.completion_tokens, 0);
    const ledger = await settled(mesh, key);
    expect(ledger).toMatchObject({ requests: good.length, completionTokens: told });
    expect(ledger.promptTokens + ledger.completionTokens).toBeLessThanOrEqual(BUDGET);
  });

  test.runIf(arrangement === 'six processes')(
    'a stream outlives an outage of Redis in which nobody new is let in, and its bill is exact',
    async () => {
      await engine.script({ holdAtToken: 50, tokens: 300, continuousUsage: true });
      const key = await newKey(mesh, 'hourly');
      const answer = await chat(mesh, key, { model: 'fake', stream: true, max_tokens: 300 });
      const chunks = answer.body?.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
      let text = '';
      const readUntil = async (token: string): Promise<void> => {
        while (!text.includes(token)) text += (await chunks?.next())?.value ?? expect.fail(`no ${token}`);
      };
      await readUntil(' t49"');
      const redis = new Redis(mesh.redisUrl ?? '');
      try {
        await redis.client('PAUSE', 8_000, 'ALL');
      } finally {
        redis.disconnect();
      }
      await engine.go();
      const refused = await chat(mesh, key, { model: 'fake', max_tokens: 1 });
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      await readUntil('[DONE]');
      expect(text).toContain(' t299');
      expect(await settled(mesh, key)).toMatchObject({ requests: 1, completionTokens: 300 });
    },
  );
});

describe.each(arrangements())('prompts that are counted only where it matters, %s', (arrangement) => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(arrangement, { config: { quota } });
  });
  afterAll(() => mesh.stop());

  test('a prompt that fits is admitted although its bound does not, and is charged as the engine counts it', async () => {
    const key = await newKey(mesh, 'prompts');
    const answer = await chat(mesh, key, { max_tokens: 4 });
    expect(answer.status).toBe(200);
    const { usage } = (await answer.json()) as { usage: { prompt_tokens: number } };
    expect(usage.prompt_tokens).toBeLessThan(100);
    expect(await settled(mesh, key)).toMatchObject({ requests: 1, promptTokens: usage.prompt_tokens });
  });

  test('one that does not fit is refused', async () => {
    const key = await newKey(mesh, 'prompts');
    const content = 'many words of a long question '.repeat(50);
    const answer = await chat(mesh, key, { max_tokens: 4, messages: [{ role: 'user', content }] });
    expect(answer.status).toBe(429);
  });
});
