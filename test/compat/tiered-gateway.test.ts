import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { FakeEngine } from '../engines/fake-engine.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { type RestClient, restClients } from '../harness/rest-clients.ts';
import { type Caller, callerOf, eventsOf, expectRateHeaders, startEngineOf } from './compat-mesh.ts';

const MODEL_ID = 'org/tiny-1';
const CLIENTS = restClients();

let engine: FakeEngine;
let mesh: TestMesh;
beforeAll(async () => {
  engine = await startEngineOf(MODEL_ID);
  // As its own environment has it; `gold` is what its config.yaml adds.
  const env = {
    VLLM_BASE_URL: `http://127.0.0.1:${engine.port}`,
    VLLM_DEFAULT_MODEL: MODEL_ID,
    REQUIRE_HTTPS: 'true',
    LOG_LEVEL: 'INFO',
  };
  mesh = await startMesh('one process', { env, config: { quota: { tiers: { gold: { requests_per_hour: 2 } } } } });
  await eventually('the server is known', async () => (await fetch(`${mesh.url}/health`)).ok);
});
afterAll(async () => {
  await mesh?.stop();
  await engine?.stop();
});

const messages = [{ role: 'user', content: 'Hello' }];

/** A new key of a tier. */
async function newKey(tier: string): Promise<string> {
  const auth = createClient(AuthService, createConnectTransport({ baseUrl: mesh.url, httpVersion: '2' }));
  return (await auth.createApiKey({ tier }, { headers: { authorization: `Bearer ${mesh.adminKey}` } })).secret;
}

// System D: an OpenAI-compatible gateway with tiers.
describe.each(CLIENTS)('an OpenAI-compatible gateway with tiers, through %s', (_name, startClient) => {
  let client: RestClient;
  /** Of tier premium. */
  let call: Caller;
  beforeAll(async () => {
    client = await startClient();
    call = await callerOfTier('premium');
  });
  afterAll(() => client?.close());

  async function callerOfTier(tier: string): Promise<Caller> {
    return callerOf(client, mesh.url, { Authorization: `Bearer ${await newKey(tier)}` });
  }
  const anonymous: Caller = (endpoint, more) => callerOf(client, mesh.url)(endpoint, more);
  const asked = async () => (await engine.counts()).last?.body;

  test('GET / and GET /health', async () => {
    expect(await anonymous('GET /')).toMatchObject({
      status: 200,
      json: { name: 'inference-mesh', health: '/health' },
    });
    const health = await anonymous('GET /health');
    expect(health).toMatchObject({ status: 200, json: { status: 'healthy', vllm_status: 'connected' } });
    expect(health.json).toMatchObject({ model: MODEL_ID, backends: { vllm: [engine.baseUrl] } });
  });

  const model = (id: string) => ({
    id,
    object: 'model',
    created: expect.any(Number),
    owned_by: 'inference-mesh',
    root: MODEL_ID,
    max_model_len: 4096,
  });

  test('GET /v1/models: the default first, one by any of its names', async () => {
    const list = await call('GET /v1/models');
    expect(list.status).toBe(200);
    // The shipped model is not there: the environment names one.
    expect(list.json).toEqual({ object: 'list', data: [model(MODEL_ID)] });
    expectRateHeaders(list, { minute: [100, 100], hour: [1000, 1000] });
    for (const [path, id] of [
      ['org/tiny-1', MODEL_ID],
      ['org%2Ftiny-1', MODEL_ID],
      ['vllm', 'vllm'],
    ] as const) {
      const one = await call(`GET /v1/models/${path}`);
      expect(one).toMatchObject({ status: 200 });
      expect(one.json).toEqual(model(id));
    }
    const unknown = await call('GET /v1/models/gpt-9');
    const detail = 'This model does not exist. GET /v1/models lists those that do.';
    const error = { message: detail, type: 'invalid_request_error', param: 'model', code: 'model_not_found' };
    expect(unknown).toMatchObject({ status: 404, json: { detail, error } });
    expectRateHeaders(unknown, { minute: [100, 100], hour: [1000, 1000] });
  });

  test('POST /v1/chat/completions, whole and as a stream with its usage', async () => {
    await engine.script({ texts: ['Hello', ' there'], tokens: 2 });
    const whole = await call('POST /v1/chat/completions', { body: { model: MODEL_ID, messages } });
    expect(whole).toMatchObject({
      status: 200,
      json: {
        object: 'chat.completion',
        model: MODEL_ID,
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
      },
    });
    expectRateHeaders(whole, { minute: [100, 99], hour: [1000, 999] });
    expect(await asked()).toMatchObject({ model: MODEL_ID, messages, max_tokens: 2048, temperature: 0.7, top_p: 1 });

    const body = { messages, stream: true, stream_options: { include_usage: true } };
    const stream = await call('POST /v1/chat/completions', { body, stream: true });
    expectRateHeaders(stream, { minute: [100, 98], hour: [1000, 998] });
    const events = eventsOf(stream);
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.at(-2)).toMatchObject({ choices: [], usage: { total_tokens: 7 } });
    expect(events.slice(0, -2).every((event) => (event as { usage: unknown }).usage === null)).toBe(true);
  });

  test('POST /v1/completions', async () => {
    const whole = await call('POST /v1/completions', { body: { prompt: 'Once', max_tokens: 2 } });
    expect(whole).toMatchObject({
      status: 200,
      json: { object: 'text_completion', model: MODEL_ID, choices: [{ text: 'Hello there', finish_reason: 'stop' }] },
    });
    const stream = await call('POST /v1/completions', { body: { prompt: 'Once', stream: true }, stream: true });
    const events = eventsOf(stream);
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1) as {
      object: string;
      choices: { text: string; finish_reason: string | null }[];
    }[];
    expect(chunks.every(({ object }) => object === 'text_completion')).toBe(true);
    expect(chunks.map(({ choices }) => choices[0]?.text).join('')).toBe('Hello there');
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean)).toEqual(['stop']);
  });

  test('what has no effect is accepted, what only the engine knows goes to it', async () => {
    const silent = { store: true, metadata: { a: 'b' }, service_tier: 'auto', parallel_tool_calls: true, user: 'u' };
    const more = { safety_identifier: 's', prompt_cache_key: 'p', verbosity: 'low' };
    const extras = {
      repetition_penalty: 1.1,
      guided_json: { type: 'object' },
      chat_template_kwargs: { thinking: false },
    };
    const own = { min_p: 0.1, top_k: 5 };
    const body = { messages, ...silent, ...more, ...extras, ...own };
    expect((await call('POST /v1/chat/completions', { body })).status).toBe(200);
    const received = (await asked()) ?? {};
    expect(received).toMatchObject({ ...extras, ...own });
    for (const name of Object.keys({ ...silent, ...more })) expect(received).not.toHaveProperty(name);
  });

  test('max_tokens is clipped to what the context leaves', async () => {
    const body = { messages, max_tokens: 1_000_000 };
    expect((await call('POST /v1/chat/completions', { body })).status).toBe(200);
    const { max_tokens: given } = (await asked()) as { max_tokens: number };
    expect(given).toBeGreaterThan(3_000);
    expect(given).toBeLessThanOrEqual(4_096);
  });

  test.each([
    ['premium', 100, 1000],
    ['standard', 30, 300],
    ['free', 10, 100],
  ])('tier %s: %i a minute and %i an hour, in the headers of every answer', async (tier, minute, hour) => {
    const ask = await callerOfTier(tier);
    expectRateHeaders(await ask('GET /v1/models'), { minute: [minute, minute], hour: [hour, hour] });
    // Refused before any work begins: it consumes nothing.
    const refused = await ask('POST /v1/chat/completions', { body: { messages: [] } });
    expect(refused.status).toBe(400);
    expectRateHeaders(refused, { minute: [minute, minute], hour: [hour, hour] });
    const first = await ask('POST /v1/chat/completions', { body: { messages, max_tokens: 1 } });
    expectRateHeaders(first, { minute: [minute, minute - 1], hour: [hour, hour - 1] });
    expectRateHeaders(await ask('HEAD /v1/models'), { minute: [minute, minute - 1], hour: [hour, hour - 1] });
  });

  test('over the limit of the minute', async () => {
    const ask = await callerOfTier('free');
    for (let left = 9; left >= 0; left -= 1) {
      const answer = await ask('POST /v1/completions', { body: { prompt: 'Once', max_tokens: 1 } });
      expect(answer.status).toBe(200);
      expectRateHeaders(answer, { minute: [10, left], hour: [100, 90 + left] });
    }
    const refused = await ask('POST /v1/completions', { body: { prompt: 'Once', max_tokens: 1 } });
    const detail = "Rate limit exceeded. Maximum 10 requests per minute allowed for tier 'free'.";
    expect(refused.status).toBe(429);
    expect(refused.json).toEqual({
      detail,
      error: { message: detail, type: 'rate_limit_error', param: null, code: 'rate_limit_exceeded' },
    });
    expectRateHeaders(refused, { minute: [10, 0], hour: [100, 90] });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    // What was taken frees at most a second late.
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(61);
    // Looking costs nothing and is never refused.
    const look = await ask('GET /v1/models');
    expect(look.status).toBe(200);
    expectRateHeaders(look, { minute: [10, 0], hour: [100, 90] });
  });

  test('over the limit of the hour', async () => {
    const ask = await callerOfTier('gold');
    const body = { messages, max_tokens: 1 };
    for (const left of [1, 0]) {
      expectRateHeaders(await ask('POST /v1/chat/completions', { body }), { hour: [2, left] });
    }
    const refused = await ask('POST /v1/chat/completions', { body });
    const detail = "Rate limit exceeded. Maximum 2 requests per hour allowed for tier 'gold'.";
    expect(refused).toMatchObject({ status: 429, json: { detail, error: { code: 'rate_limit_exceeded' } } });
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(3_660);
    // An SDK that waited for an hour would look as if it hung.
    expect(refused.headers['x-should-retry']).toBe('false');
  });

  test('REQUIRE_HTTPS: plain HTTP from elsewhere is 403, unless a trusted proxy had it over HTTPS', async () => {
    const elsewhere = { 'X-Forwarded-For': '203.0.113.7' };
    const refused = await call('GET /v1/models', { headers: elsewhere });
    expect(refused).toMatchObject({ status: 403, json: { error: { code: 'https_required' } } });
    const secured = await call('GET /v1/models', { headers: { ...elsewhere, 'X-Forwarded-Proto': 'https' } });
    expect(secured.status).toBe(200);
  });

  test('a key that nobody knows', async () => {
    const refused = await anonymous('GET /v1/models', { headers: { Authorization: 'Bearer sk-wrong' } });
    const error = { message: 'Invalid API key', type: 'invalid_request_error', param: null, code: 'invalid_api_key' };
    expect(refused.status).toBe(401);
    expect(refused.json).toEqual({ detail: 'Invalid API key', error });
  });
});

describe('when the engine behind is down', () => {
  beforeAll(async () => {
    await engine.stop();
    await eventually('its loss was noticed', async () => (await fetch(`${mesh.url}/health`)).status === 503);
  });

  test.each(CLIENTS)('through %s', async (_name, startClient) => {
    const client = await startClient();
    try {
      const call = callerOf(client, mesh.url, { 'X-API-Key': mesh.adminKey });
      const lost = await call('POST /v1/chat/completions', { body: { messages } });
      expect(lost).toMatchObject({ status: 503, json: { detail: 'No healthy backends' } });
      expect(lost.headers['retry-after']).toMatch(/^[1-9]\d*$/);
      expect(await call('GET /health')).toMatchObject({
        status: 503,
        json: { status: 'unhealthy', vllm_status: 'disconnected', model_loaded: false, backends: { vllm: [] } },
        headers: { 'retry-after': '1' },
      });
      // Its model is listed still.
      expect((await call('GET /v1/models')).json).toMatchObject({ data: [{ id: MODEL_ID }] });
    } finally {
      client.close();
    }
  });
});
