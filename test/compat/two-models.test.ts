import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { arrangements } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { type RestAnswer, type RestClient, restClients, sendByFetch } from '../harness/rest-clients.ts';
import { type Caller, type CompatMesh, callerOf, eventsOf, expectRateHeaders, startCompatMesh } from './compat-mesh.ts';

const CHAT_ID = 'Qwen/Qwen2.5-7B-Instruct';
const SQL_ID = 'Snowflake/Arctic-Text2SQL-R1-7B';
const SQL = ['SELECT', ' 1', ';'];
const CLIENTS = restClients();
const fetcher: RestClient = { send: sendByFetch, close: () => undefined };

/** What the engine `slow` is given up after, in seconds; everything else runs meanwhile. */
const FIRST_TOKEN_SECONDS = 12;

const REQUEST_ID = expect.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const messages = [{ role: 'user', content: 'How many orders are there?' }];

// System C.
describe.each(arrangements())('%s', (arrangement) => {
  let compat: CompatMesh;
  const started: RestClient[] = [];
  /** A request to the engine that does not answer, by client. */
  const slow = new Map<string, Promise<RestAnswer & { json: unknown }>>();

  beforeAll(async () => {
    const quota = {
      organizations: Object.fromEntries(CLIENTS.map(([name]) => [organizationOf(name), { requests_per_day: 2 }])),
      // As documented it is 50; nobody sends so many in a second here.
      per_ip: { requests_per_second: 1 },
    };
    const auth = { organizations: CLIENTS.map(([name]) => ({ id: organizationOf(name) })) };
    const router = { text2sql: 'text2sql', timeout_seconds: { first_token: FIRST_TOKEN_SECONDS } };
    compat = await startCompatMesh(
      { chat: CHAT_ID, text2sql: SQL_ID, slow: 'org/slow' },
      { config: { quota, auth, router }, arrangement },
    );
    await compat.engine('text2sql').script({ texts: SQL, tokens: SQL.length });
    await compat.engine('slow').script({ firstTokenMs: 600_000 });
    for (const [name, startClient] of CLIENTS) {
      const client = await startClient();
      started.push(client);
      const call = callerOf(client, compat.mesh.url, { 'X-API-Key': compat.mesh.adminKey });
      slow.set(name, call('POST /v1/chat/completions', { body: { model: 'slow', messages } }));
    }
  });
  afterAll(async () => {
    for (const client of started) client.close();
    await compat?.stop();
  });

  function organizationOf(client: string): string {
    return client.split(' ')[0] ?? '';
  }

  const transportOf = () => createConnectTransport({ baseUrl: compat.mesh.url, httpVersion: '2' });
  const asAdmin = () => ({ headers: { authorization: `Bearer ${compat.mesh.adminKey}` } });

  async function newKey(organizationId = '', tier = ''): Promise<string> {
    const { secret } = await createClient(AuthService, transportOf()).createApiKey({ organizationId, tier }, asAdmin());
    return secret;
  }

  describe.each(CLIENTS)('two models behind one gateway, through %s', (name, startClient) => {
    let client: RestClient;
    let admin: Caller;
    let user: Caller;

    beforeAll(async () => {
      client = await startClient();
      admin = callerOf(client, compat.mesh.url, { Authorization: `Bearer ${compat.mesh.adminKey}` });
      user = callerOf(client, compat.mesh.url, { Authorization: `Bearer ${await newKey()}` });
    });
    afterAll(() => client?.close());

    const asked = async (engine: string) => (await compat.engine(engine).counts()).last;

    const completion = (model: string, content: string, completionTokens: number) => ({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      created: expect.any(Number),
      model,
      choices: [
        { index: 0, message: { role: 'assistant', content, refusal: null }, logprobs: null, finish_reason: 'stop' },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: completionTokens,
        total_tokens: 5 + completionTokens,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    });

    test('GET /health names both engines', async () => {
      const { status, json } = await callerOf(client, compat.mesh.url)('GET /health');
      expect(status).toBe(200);
      expect(json).toMatchObject({
        status: 'healthy',
        model: CHAT_ID,
        available_models: [CHAT_ID, SQL_ID, 'org/slow'],
        backends: { chat: [compat.engine('chat').baseUrl], text2sql: [compat.engine('text2sql').baseUrl] },
      });
    });

    test('POST /v1/chat/completions goes where the model is, which the answer names as it was asked', async () => {
      for (const [model, engine, content, tokens] of [
        ['chat', 'chat', ' t0 t1 t2', 3],
        [CHAT_ID, 'chat', ' t0 t1 t2', 3],
        ['text2sql', 'text2sql', SQL.join(''), SQL.length],
        [SQL_ID, 'text2sql', SQL.join(''), SQL.length],
      ] as const) {
        const answer = await user('POST /v1/chat/completions', { body: { model, messages, max_tokens: 3 } });
        expect(answer.status).toBe(200);
        expect(answer.json).toEqual(completion(model, content, tokens));
        expectRateHeaders(answer);
        expect(await asked(engine)).toMatchObject({ path: '/v1/chat/completions', body: { messages, max_tokens: 3 } });
      }
    });

    test('POST /text2sql: the same body and answer, from its own model; defaults of both', async () => {
      const answer = await user('POST /text2sql', { body: { messages } });
      expect(answer.status).toBe(200);
      expect(answer.json).toEqual(completion(SQL_ID, SQL.join(''), SQL.length));
      expect(answer.headers['x-request-id']).toEqual(REQUEST_ID);
      expectRateHeaders(answer);
      const defaults = { max_tokens: 2048, temperature: 0.7, top_p: 1 };
      expect((await asked('text2sql'))?.body).toMatchObject({ model: SQL_ID, messages, ...defaults });
      await compat.engine('chat').script({ tokens: 1 });
      const other = await user('POST /text2sql', { body: { model: 'chat', messages } });
      expect(other.json).toEqual(completion('chat', ' t0', 1));
      expect((await asked('chat'))?.body).toMatchObject({ model: CHAT_ID, ...defaults });
      await compat.engine('chat').script({});
    });

    test('POST /v1/completions has a default of 16 tokens', async () => {
      const answer = await user('POST /v1/completions', { body: { model: 'chat', prompt: 'Once' } });
      expect(answer.json).toMatchObject({ object: 'text_completion', usage: { completion_tokens: 16 } });
      const defaults = { max_tokens: 16, temperature: 0.7, top_p: 1 };
      expect(await asked('chat')).toMatchObject({ path: '/v1/completions', body: { prompt: 'Once', ...defaults } });
    });

    test.each(['/text2sql', '/v1/chat/completions'])('POST %s as a stream', async (path) => {
      const body = { model: 'text2sql', messages, stream: true };
      const answer = await user(`POST ${path}`, { body, stream: true });
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        'content-type': expect.stringContaining('text/event-stream'),
        'x-request-id': REQUEST_ID,
      });
      expectRateHeaders(answer);
      const events = eventsOf(answer);
      expect(events.at(-1)).toBe('[DONE]');
      const chunks = events.slice(0, -1) as {
        model: string;
        choices: { delta: { role?: string; content?: string } }[];
      }[];
      expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(SQL.join(''));
      expect(chunks[0]).toMatchObject({
        id: expect.stringMatching(/^chatcmpl-/),
        object: 'chat.completion.chunk',
        created: expect.any(Number),
        model: 'text2sql',
        choices: [{ index: 0, delta: { role: 'assistant' }, finish_reason: null }],
      });
      expect(chunks.at(-1)?.choices).toMatchObject([{ index: 0, delta: {}, finish_reason: 'stop' }]);
    });

    test.each(['/text2sql', '/v1/chat/completions'])('POST %s refuses as documented', async (path) => {
      const refused = (status: number, detail: unknown, error: object) => ({
        status,
        json: { detail, error: { message: detail, type: 'invalid_request_error', param: null, ...error } },
        headers: { 'x-request-id': REQUEST_ID },
      });
      const nobody = callerOf(client, compat.mesh.url);
      const known = await nobody(`POST ${path}`, { body: { messages } });
      expect(known).toMatchObject(refused(401, 'Invalid API key', { code: 'invalid_api_key' }));
      const hot = await user(`POST ${path}`, { body: { messages, temperature: 2.1 } });
      const text = expect.stringMatching(/^temperature: /);
      expect(hot).toMatchObject(refused(400, text, { param: 'temperature', code: 'invalid_value' }));
      const unknown = await user(`POST ${path}`, { body: { model: 'gpt-9', messages } });
      const missing = "The model 'gpt-9' does not exist. GET /v1/models lists what there is.";
      expect(unknown).toMatchObject(refused(404, missing, { param: 'model', code: 'model_not_found' }));
      expectRateHeaders(unknown);
    });

    test('an admin reaches each engine by its name, and its health by ListEngines', async () => {
      const call = { headers: { 'x-mesh-engine': 'text2sql' }, body: { model: SQL_ID, messages } };
      expect((await admin('POST /v1/chat/completions', call)).json).toEqual(
        completion(SQL_ID, SQL.join(''), SQL.length),
      );
      expect((await user('POST /v1/chat/completions', call)).status).toBe(403);
      const { engines } = await createClient(InferenceService, transportOf()).listEngines({}, asAdmin());
      expect(engines.map(({ engine }) => [engine?.name, engine?.state])).toContainEqual([
        'text2sql',
        EngineState.READY,
      ]);
    });

    test('an address has so many requests a second, as the trusted proxy tells it; loopback is exempt', async () => {
      const proxied = { headers: { 'X-Forwarded-For': `203.0.113.${CLIENTS.findIndex(([one]) => one === name)}` } };
      // Of a tier that is not reached before.
      const credential = { Authorization: `Bearer ${await newKey('', 'premium')}` };
      const [call, other] = [client, fetcher].map((one) => callerOf(one, compat.mesh.url, credential));
      const asking = { ...proxied, body: { messages, max_tokens: 1 } };
      const refused = await eventually('one is too many', async () => {
        // On a machine that does other work one after the other may be too slow for this.
        const [answer] = await Promise.all([call, other, other].map((one) => one?.('POST /text2sql', asking)));
        return answer?.status === 200 ? undefined : answer;
      });
      const detail = 'Rate limit exceeded. Maximum 1 requests per second allowed for this address.';
      expect(refused).toMatchObject({
        status: 429,
        json: {
          detail,
          error: { message: detail, type: 'rate_limit_error', param: null, code: 'rate_limit_exceeded' },
        },
        // A second counts until the step is over in which it ends.
        headers: { 'retry-after': expect.stringMatching(/^[12]$/) },
      });
      expectRateHeaders(refused);
    });

    test('an organisation has so much a day', async () => {
      const call = callerOf(client, compat.mesh.url, { Authorization: `Bearer ${await newKey(organizationOf(name))}` });
      const ask = () => call('POST /text2sql', { body: { messages, max_tokens: 1 } });
      expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
      const refused = await ask();
      const detail = 'Rate limit exceeded. Maximum 2 requests per day allowed for this organization.';
      expect(refused).toMatchObject({
        status: 429,
        json: {
          detail,
          error: { message: detail, type: 'rate_limit_error', param: null, code: 'insufficient_quota' },
        },
        headers: { 'x-should-retry': 'false', 'retry-after': expect.stringMatching(/^\d+$/) },
      });
      // The requests are those that are left of the day; the tier would give more.
      expectRateHeaders(refused, { minute: [30, 28], hour: [300, 298] });
      expect(refused.headers['x-ratelimit-remaining-requests']).toBe('0');
    });

    test('an engine that does not answer in time', async () => {
      const given = await slow.get(name);
      expect(given).toMatchObject({
        status: 504,
        json: {
          detail: 'Gateway timeout',
          error: { message: 'Gateway timeout', type: 'server_error', param: null, code: 'timeout' },
        },
      });
    });
  });

  describe('without the engine of a model', () => {
    beforeAll(async () => {
      await compat.engine('text2sql').stop();
      await eventually('its loss was noticed', async () => {
        const { backends } = (await (await fetch(`${compat.mesh.url}/health`)).json()) as { backends: object };
        return 'text2sql' in backends && Array.isArray(backends.text2sql) && backends.text2sql.length === 0;
      });
    });

    test.each(CLIENTS.map(([name], index) => [name, index] as const))('through %s', async (_name, index) => {
      const client = started[index] ?? expect.fail('no client');
      const call = callerOf(client, compat.mesh.url, { Authorization: `Bearer ${compat.mesh.adminKey}` });
      const lost = await call('POST /text2sql', { body: { messages } });
      expect(lost).toMatchObject({
        status: 503,
        json: {
          detail: 'No healthy backends',
          error: { message: 'No healthy backends', type: 'server_error', param: null, code: 'no_healthy_backends' },
        },
        headers: { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) },
      });
      expectRateHeaders(lost);
      expect((await call('POST /v1/chat/completions', { body: { messages } })).status).toBe(200);
      expect((await call('GET /health')).json).toMatchObject({ status: 'degraded', backends: { text2sql: [] } });
    });
  });
});
