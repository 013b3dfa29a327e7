import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { type RestClient, restClients } from '../harness/rest-clients.ts';
import { type Caller, callerOf, expectRateHeaders } from './compat-mesh.ts';

/** A load starts a process, on a machine that may do other work. */
const LOAD_MS = 90_000;

let mesh: TestMesh;
beforeAll(async () => {
  const models = [{ name: 'tiny', engine: 'llama.cpp', model: RANDOM_MODEL, load: 'on_demand' }];
  const quota = { tiers: { slow: { requests_per_minute: 1 } } };
  mesh = await startMesh('one process', { config: { inference: { models }, quota }, args: ['--model', 'none'] });
});
afterAll(() => mesh?.stop());

interface Completions {
  readonly completions: readonly { text: string; tokens: readonly { text: string; logprob: number }[] }[];
}

// System E: models that are loaded and unloaded at run time. The tests build on each other.
describe.each(restClients())('models at run time, through %s', (name, startClient) => {
  let client: RestClient;
  let admin: Caller;
  /** With the key that the first test makes. */
  let user: Caller;
  const anonymous: Caller = (endpoint, call) => callerOf(client, mesh.url)(endpoint, call);

  beforeAll(async () => {
    client = await startClient();
    admin = callerOf(client, mesh.url, { 'x-API-Key': mesh.adminKey });
  });
  afterAll(() => client?.close());

  /** An answer of a route whose clients read `error` as a text. */
  const refused = (status: number, error: string, detail: unknown) => ({
    status,
    json: { detail, error, status_code: status },
    headers: { 'x-request-id': expect.any(String) },
  });

  test('POST /generate_apikey, for an admin', async () => {
    const username = `ann of ${name}`;
    const made = await admin('POST /generate_apikey', { body: { username, role: 'ignored' } });
    expect(made.status).toBe(200);
    expect(made.json).toEqual({ api_key: expect.stringMatching(/^im_[\w-]{30,}$/) });
    expect(made.headers['cache-control']).toBe('no-store');
    expectRateHeaders(made, {});
    user = callerOf(client, mesh.url, { 'x-API-Key': (made.json as { api_key: string }).api_key });
    const auth = createClient(AuthService, createConnectTransport({ baseUrl: mesh.url, httpVersion: '2' }));
    const { apiKeys } = await auth.listApiKeys({}, { headers: { authorization: `Bearer ${mesh.adminKey}` } });
    expect(apiKeys.find(({ userId }) => userId === username)).toMatchObject({ tier: 'standard' });

    expect(await admin('POST /generate_apikey', { body: {} })).toMatchObject(
      refused(400, 'Bad Request', 'username: this field is required'),
    );
    expect(await user('POST /generate_apikey', { body: { username: 'bob' } })).toMatchObject(
      refused(403, 'Forbidden', expect.any(String)),
    );
    // Without a credential it is a registration, which is not open here.
    expect((await anonymous('POST /generate_apikey', { body: { username: 'bob' } })).status).toBe(401);
  });

  test('GET /status before anything is loaded', async () => {
    const status = await user('GET /status');
    expect(status.status).toBe(200);
    expect(status.json).toEqual({
      status: 'no model loaded',
      engines: [expect.objectContaining({ model: 'tiny', on_demand: true })],
    });
    expectRateHeaders(status, { minute: [30, 30], hour: [300, 300] });
    expect(await anonymous('GET /status')).toMatchObject(refused(401, 'Unauthorized', 'Invalid API key'));
  });

  test(
    'POST /load_model, and again',
    async () => {
      const load = { model_name: 'tiny', device: 'auto', hf_token: 'hf_secretOfACaller' };
      const loaded = {
        message: "Model 'tiny' is loaded on cpu.",
        model_name: 'tiny',
        device: 'cpu',
        load_seconds: expect.any(Number),
      };
      for (const body of [load, { model_name: 'tiny' }]) {
        const answer = await admin('POST /load_model', { body });
        expect(answer.status).toBe(200);
        expect(answer.json).toEqual(loaded);
        expectRateHeaders(answer, {});
      }
      expect(mesh.processes.get('all')?.output()).not.toContain('hf_secretOfACaller');
    },
    LOAD_MS,
  );

  test('POST /load_model with its progress as events', async () => {
    const call = { headers: { Accept: 'text/event-stream' }, body: { model_name: 'tiny' }, stream: true };
    const answer = await admin('POST /load_model', call);
    expect(answer.headers['content-type']).toContain('text/event-stream');
    const events = answer.text.split('\n').filter((line) => line.startsWith('data: '));
    expect(JSON.parse(events.at(-1)?.slice(6) ?? '')).toMatchObject({ model_name: 'tiny', device: 'cpu' });
  });

  test.each([
    [{}, 400, 'Bad Request', 'model_name: this field is required'],
    [{ model_name: 'tiny', device: 'tpu' }, 400, 'Bad Request', expect.stringMatching(/^device: /)],
    [{ model_name: '../secret.gguf' }, 400, 'Bad Request', expect.stringMatching(/^model_name: /)],
  ])('POST /load_model refuses %j', async (body, status, error, detail) => {
    expect(await admin('POST /load_model', { body })).toMatchObject(refused(status, error, detail));
    expect(await user('POST /load_model', { body: { model_name: 'tiny' } })).toMatchObject(
      refused(403, 'Forbidden', expect.any(String)),
    );
  });

  test('GET /status when it is loaded', async () => {
    expect((await user('GET /status')).json).toEqual({
      status: 'cpu: model loaded on CPU',
      engines: [
        {
          model: 'tiny',
          model_id: expect.any(String),
          state: 'ready',
          device: 'cpu',
          engine: 'llama.cpp',
          on_demand: true,
          unloaded: false,
        },
      ],
    });
  });

  test('POST /generate with all parameters', async () => {
    const parameters = {
      temperature: 0,
      max_new_tokens: 4,
      top_p: 0.5,
      num_return_sequences: 2,
      stop_sequences: ['\u0000'],
    };
    const answer = await user('POST /generate', { body: { model_name: 'tiny', prompt: 'Once', parameters } });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ success: true, request_time: expect.any(Number) });
    expect(Object.keys(answer.json as object).sort()).toEqual(['completions', 'request_time', 'success']);
    const { completions } = answer.json as Completions;
    expect(completions).toHaveLength(2);
    for (const completion of completions) {
      expect(Object.keys(completion).sort()).toEqual(['text', 'tokens']);
      expect(completion.tokens.length).toBeGreaterThan(0);
      expect(completion.tokens.length).toBeLessThanOrEqual(4);
      expect(completion.tokens.map(({ text }) => text).join('')).toBe(completion.text);
      expect(completion.tokens.every((token) => token.logprob <= 0 && Object.keys(token).length === 2)).toBe(true);
    }
    expectRateHeaders(answer, { minute: [30, 29], hour: [300, 299] });
  });

  test('POST /generate with its defaults: the only model, one completion of at most 200 tokens', async () => {
    const answer = await user('POST /generate', { body: { prompt: 'Once', parameters: {} } });
    expect(answer.status).toBe(200);
    const { completions } = answer.json as Completions;
    expect(completions).toHaveLength(1);
    expect(completions[0]?.tokens.length).toBeLessThanOrEqual(200);
  });

  test('POST /generate refuses as documented', async () => {
    const generate = (body: object) => user('POST /generate', { body });
    const parameters = { temperature: 3 };
    expect(await generate({ prompt: 'Once', parameters })).toMatchObject(
      refused(400, 'Bad Request', expect.stringMatching(/^parameters\.temperature: /)),
    );
    expect(await generate({ model_name: 'tiny' })).toMatchObject(
      refused(400, 'Bad Request', 'prompt: this field is required'),
    );
    expect(await generate({ model_name: 'gpt-9', prompt: 'Once' })).toMatchObject(
      refused(404, 'Not Found', expect.stringContaining("'gpt-9'")),
    );
    // Only a prompt that does not fit by itself is too long; what is asked for beside it is clipped.
    expect(await generate({ model_name: 'tiny', prompt: 'word '.repeat(20_000) })).toMatchObject(
      refused(400, 'Bad Request', expect.any(String)),
    );
    const clipped = { max_new_tokens: 1_000_000, stop_sequences: ['a', 'e', 'i', 'o', ' '] };
    expect((await generate({ prompt: 'Once', parameters: clipped })).status).toBe(200);
  });

  test('over the limit, `error` is the text that clients compare with', async () => {
    const auth = createClient(AuthService, createConnectTransport({ baseUrl: mesh.url, httpVersion: '2' }));
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const callerOfTier = async (tier: string): Promise<Caller> => {
      const { secret } = await auth.createApiKey({ tier }, { headers });
      return callerOf(client, mesh.url, { 'x-API-Key': secret });
    };
    const slow = await callerOfTier('slow');
    const body = { model_name: 'tiny', prompt: 'Once', parameters: { max_new_tokens: 1 } };
    // A model that does not exist consumes nothing.
    expect((await slow('POST /generate', { body: { ...body, model_name: 'gpt-9' } })).status).toBe(404);
    expectRateHeaders(await slow('POST /generate', { body }), { minute: [1, 0] });
    const over = await slow('POST /generate', { body });
    const detail = "Rate limit exceeded. Maximum 1 requests per minute allowed for tier 'slow'.";
    expect(over).toMatchObject(refused(429, 'Rate limit exceeded', detail));
    expectRateHeaders(over, { minute: [1, 0] });
    expect(Number(over.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    // A bucket is told as a limit per minute.
    expectRateHeaders(await (await callerOfTier('queue'))('GET /status'), { minute: [60, 10] });
  });

  test('POST /unload_model, and what follows', async () => {
    expect(await user('POST /unload_model', { body: { model_name: 'tiny' } })).toMatchObject(
      refused(403, 'Forbidden', expect.any(String)),
    );
    expect(await admin('POST /unload_model', { body: { model_name: 'gpt-9' } })).toMatchObject(
      refused(404, 'Not Found', expect.any(String)),
    );
    const unloaded = await admin('POST /unload_model', { body: { model_name: 'tiny' } });
    expect(unloaded.status).toBe(200);
    expect(unloaded.json).toEqual({ message: "Model 'tiny' is unloaded." });
    expectRateHeaders(unloaded, {});
    expect((await user('GET /status')).json).toMatchObject({ status: 'no model loaded' });
    const away = await user('POST /generate', { body: { model_name: 'tiny', prompt: 'Once' } });
    expect(away).toMatchObject(refused(503, 'Service Unavailable', 'model not loaded'));
    expect(Number(away.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(await admin('POST /unload_model', { body: {} })).toMatchObject(refused(409, 'Conflict', expect.any(String)));
  });
});
