import { hash } from '@node-rs/bcrypt';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RestClient, restClients } from '../harness/rest-clients.ts';
import { type Caller, type CompatMesh, callerOf, eventsOf, expectRateHeaders, startCompatMesh } from './compat-mesh.ts';

const PASSWORD = 'correct horse battery';
const MODEL_ID = 'org/tiny-1';

let compat: CompatMesh;
beforeAll(async () => {
  const users = [{ name: 'ann', password_hash: await hash(PASSWORD, 10) }];
  compat = await startCompatMesh({ chat: MODEL_ID }, { config: { auth: { users } } });
});
afterAll(() => compat?.stop());

const TIMESTAMP = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/);
const REQUEST_ID = expect.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);

// System A: logins and /chat. The tests build on each other.
describe.each(restClients())('a chat server with logins, through %s', (_name, startClient) => {
  let client: RestClient;
  let anonymous: Caller;
  /** With the token of a login. */
  let ann: Caller;
  let key: string;

  beforeAll(async () => {
    client = await startClient();
    anonymous = callerOf(client, compat.mesh.url);
    const admin = callerOf(client, compat.mesh.url, { 'X-API-Key': compat.mesh.adminKey });
    const made = await admin('POST /generate_apikey', { body: { username: `key of ${_name}` } });
    key = (made.json as { api_key: string }).api_key;
  });
  afterAll(() => client?.close());

  const asked = async () => (await compat.engine('chat').counts()).last?.body;

  test('GET /health', async () => {
    const health = await anonymous('GET /health');
    expect(health.status).toBe(200);
    expect(health.json).toEqual({
      status: 'healthy',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      model: MODEL_ID,
      backend: 'openai',
      model_loaded: true,
      available_models: [MODEL_ID],
      redis_connected: true,
      store: 'sqlite',
      vllm_status: 'not_configured',
      backends: { chat: [compat.engine('chat').baseUrl] },
    });
  });

  test('POST /auth/login', async () => {
    const login = await anonymous('POST /auth/login', {
      body: { username: 'ann', password: PASSWORD, remember: true },
    });
    expect(login.status).toBe(200);
    const { access_token: token, ...rest } = login.json as { access_token: string };
    expect(rest).toEqual({ token_type: 'bearer', expires_in: 86_400 });
    expectRateHeaders(login);
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', kid: expect.any(String) });
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({ sub: 'ann', org: 'default', tier: 'standard', scope: 'generate' });
    expect(claims.jti).toEqual(expect.any(String));
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(86_400);
    ann = callerOf(client, compat.mesh.url, { Authorization: `Bearer ${token}` });
  });

  test('POST /auth/login, refused', async () => {
    for (const username of ['ann', 'nobody']) {
      const refused = await anonymous('POST /auth/login', { body: { username, password: 'wrong' } });
      expect(refused).toMatchObject({
        status: 401,
        headers: { 'x-request-id': REQUEST_ID, 'www-authenticate': 'Bearer' },
        json: { detail: 'Invalid username or password', error: 'Unauthorized', status_code: 401 },
      });
    }
    const incomplete = await anonymous('POST /auth/login', { body: { username: 'ann' } });
    expect(incomplete).toMatchObject({ status: 400, json: { detail: 'password: this field is required' } });
  });

  test('POST /chat with the token of a login', async () => {
    await compat.engine('chat').script({ texts: ['Hello', ' there'], tokens: 2 });
    const answer = await ann('POST /chat', { body: { message: 'Hi!', max_tokens: 20, temperature: 0 } });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ response: 'Hello there', timestamp: TIMESTAMP, model: 'tiny-1' });
    expect(answer.headers['content-type']).toContain('application/json');
    expect(answer.headers['x-request-id']).toEqual(REQUEST_ID);
    expectRateHeaders(answer);
    expect(answer.headers).toMatchObject({ 'x-ratelimit-limit-minute': '30', 'x-ratelimit-limit-hour': '300' });
    expect(await asked()).toMatchObject({
      model: MODEL_ID,
      messages: [{ role: 'user', content: 'Hi!' }],
      max_tokens: 20,
      temperature: 0,
    });
  });

  test('POST /chat with a key in either header, and its defaults', async () => {
    for (const headers of [{ Authorization: `Bearer ${key}` }, { 'X-API-Key': key }, { 'x-api-key': key }]) {
      const answer = await anonymous('POST /chat', { headers, body: { message: 'Hi!', model: 'ignored' } });
      expect(answer).toMatchObject({ status: 200, json: { response: 'Hello there', model: 'tiny-1' } });
    }
    expect(await asked()).toMatchObject({ max_tokens: 1000, temperature: 0.7 });
  });

  test('POST /chat as a stream', async () => {
    const answer = await ann('POST /chat', { body: { message: 'Hi!', stream: true }, stream: true });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toContain('text/event-stream');
    expectRateHeaders(answer);
    const events = eventsOf(answer);
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.at(-2)).toEqual({ response: 'Hello there', timestamp: TIMESTAMP, model: 'tiny-1' });
    const deltas = events.slice(0, -2) as { delta: string }[];
    expect(deltas.map(({ delta }) => delta).join('')).toBe('Hello there');
  });

  test.each([
    ['no key', {}, { message: 'Hi!' }, 401, 'Invalid API key'],
    ['another key', { Authorization: 'Bearer sk-wrong' }, { message: 'Hi!' }, 401, 'Invalid API key'],
    ['another scheme', { Authorization: 'Basic YTpi' }, { message: 'Hi!' }, 401, 'Invalid API key'],
  ])('POST /chat with %s', async (_what, headers, body, status, detail) => {
    const refused = await anonymous('POST /chat', { headers, body });
    expect(refused.status).toBe(status);
    expect(refused.json).toEqual({
      detail,
      error: { message: detail, type: 'invalid_request_error', param: null, code: 'invalid_api_key' },
    });
    expect(refused.headers).toMatchObject({ 'x-request-id': REQUEST_ID, 'www-authenticate': 'Bearer' });
  });

  test.each([
    [{}, 'message'],
    [{ message: 'Hi!', max_tokens: 2049 }, 'max_tokens'],
    [{ message: 'Hi!', max_tokens: 0 }, 'max_tokens'],
    [{ message: 'Hi!', temperature: 1.01 }, 'temperature'],
    [{ message: ['Hi!'] }, 'message'],
  ])('POST /chat refuses %j with 400, never 422', async (body, param) => {
    const refused = await ann('POST /chat', { body });
    expect(refused.status).toBe(400);
    expect(refused.json).toEqual({
      detail: expect.stringMatching(new RegExp(`^${param}: `)),
      error: { message: expect.any(String), type: 'invalid_request_error', param, code: 'invalid_value' },
    });
    expectRateHeaders(refused);
  });

  test('POST /chat when the engine fails', async () => {
    await compat.engine('chat').script({ status: 500, body: { error: { message: 'CUDA error at /secret/path' } } });
    const failed = await ann('POST /chat', { body: { message: 'Hi!' } });
    expect(failed.status).toBe(502);
    const { detail, error } = failed.json as { detail: string; error: object };
    expect(detail).toBe('Error generating response: The engine failed.');
    expect(error).toMatchObject({ message: detail, type: 'server_error' });
    expect(failed.text).not.toContain('secret');
    expectRateHeaders(failed);
    await compat.engine('chat').script({});
  });
});
