import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

/** A load starts a process, on a machine that may do other work. */
const LOAD_TIMEOUT_MS = 60_000;

const TOKEN = 'hf_thisMustNotBeSeen';

// System E. The tests build on each other.
describe.each(arrangements())('models that are loaded and unloaded at run time, %s', (arrangement) => {
  let mesh: TestMesh;
  let userKey: string;

  beforeAll(async () => {
    const models = [{ name: 'tiny', engine: 'llama.cpp', model: RANDOM_MODEL, load: 'on_demand' }];
    const args = ['--model', 'none', '--log-level', 'trace'];
    mesh = await startMesh(arrangement, { config: { inference: { models } }, args });
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const auth = createClient(AuthService, createConnectTransport({ baseUrl: mesh.url, httpVersion: '2' }));
    userKey = (await auth.createApiKey({ name: 'user' }, { headers })).secret;
  }, 120_000);
  afterAll(() => mesh?.stop());

  interface Answer {
    readonly status: number;
    readonly body: Record<string, unknown>;
  }

  async function call(path: string, init: RequestInit = {}, key = mesh.adminKey): Promise<Answer> {
    const headers = { authorization: `Bearer ${key}`, ...(init.body ? { 'content-type': 'application/json' } : {}) };
    const response = await fetch(mesh.url + path, { ...init, headers: { ...headers, ...init.headers } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
  const post = (path: string, body: object, key?: string) =>
    call(path, { method: 'POST', body: JSON.stringify(body) }, key);
  const generate = (key?: string, model = 'tiny') =>
    post('/generate', { model_name: model, prompt: 'Once', parameters: { max_new_tokens: 4, temperature: 0 } }, key);
  const statusText = async () => (await call('/status', {}, userKey)).body.status;

  /** The text, and the tokens that it is made of. */
  function expectAnswered({ status, body }: Answer): void {
    expect(body).toMatchObject({ success: true, request_time: expect.any(Number) });
    expect(status).toBe(200);
    const [completion] = body.completions as { text: string; tokens: { text: string; logprob: number }[] }[];
    expect(completion?.tokens.length).toBeGreaterThan(0);
    expect(completion?.tokens.map(({ text }) => text).join('')).toBe(completion?.text);
    expect(completion?.tokens.every(({ logprob }) => logprob <= 0)).toBe(true);
  }

  test('before the first request nothing is loaded, and the mesh can serve', async () => {
    expect((await call('/health')).body).toMatchObject({ status: 'healthy', model_loaded: false });
    expect(await statusText()).toBe('no model loaded');
  });

  test(
    'the first request loads it and is answered, with the tokens and how likely they were',
    async () => {
      expectAnswered(await generate(userKey));
      expect(await call('/status', {}, userKey)).toMatchObject({
        status: 200,
        body: {
          status: 'cpu: model loaded on CPU',
          engines: [{ model: 'tiny', state: 'ready', device: 'cpu', on_demand: true, unloaded: false }],
        },
      });
      // A monitor may be told what was a second ago.
      await eventually('it is healthy', async () => (await call('/health')).body.model_loaded === true);
    },
    LOAD_TIMEOUT_MS,
  );

  test('what the engine cannot honour is refused by the name that the body has', async () => {
    const refused = await post('/generate', { prompt: 'Once', parameters: { num_return_sequences: 1_000 } });
    expect(refused).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('num_return_sequences'), status_code: 400 },
    });
    // An engine that makes one at a time is asked as often.
    const both = await post('/generate', {
      prompt: 'Once',
      parameters: { num_return_sequences: 2, max_new_tokens: 4 },
    });
    expect(both).toMatchObject({ status: 200, body: { completions: [{}, {}] } });
  });

  test('an unload is at once what requests see, until it is loaded again', async () => {
    expect(await post('/unload_model', {})).toEqual({ status: 200, body: { message: "Model 'tiny' is unloaded." } });
    expect(await statusText()).toBe('no model loaded');
    expect(await generate()).toMatchObject({ status: 503, body: { detail: 'model not loaded' } });
    expect(await post('/unload_model', {})).toMatchObject({ status: 409 });
    expect(await post('/unload_model', { model_name: 'nobody' })).toMatchObject({ status: 404 });
  });

  test(
    'a load is answered when requests can use it; a second one at once',
    async () => {
      const loaded = { message: "Model 'tiny' is loaded on cpu.", model_name: 'tiny', device: 'cpu' };
      const [one, other] = await Promise.all([1, 2].map(() => post('/load_model', { model_name: 'tiny' })));
      expect([one, other]).toMatchObject([
        { status: 200, body: loaded },
        { status: 200, body: loaded },
      ]);
      expectAnswered(await generate());
      expect(await statusText()).toBe('cpu: model loaded on CPU');
      const again = await post('/load_model', { model_name: 'tiny' });
      expect(again).toMatchObject({ status: 200, body: loaded });
    },
    LOAD_TIMEOUT_MS,
  );

  test(
    'a file of the model directory is loaded with progress as events, and serves under its name',
    async () => {
      const directory = join(mesh.dataDir('inference'), 'models');
      mkdirSync(directory, { recursive: true });
      copyFileSync(RANDOM_MODEL, join(directory, 'other.gguf'));
      const response = await fetch(`${mesh.url}/load_model`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${mesh.adminKey}`,
          'content-type': 'application/json',
          accept: 'text/event-stream',
        },
        body: JSON.stringify({ model_name: 'other.gguf', device: 'cpu', hf_token: TOKEN }),
      });
      expect(response.headers.get('content-type')).toContain('text/event-stream');
      const events = (await response.text())
        .split('\n\n')
        .filter((frame) => frame.startsWith('data: '))
        .map((frame) => JSON.parse(frame.slice(6)) as object);
      expect(events.length).toBeGreaterThan(1);
      expect(events[0]).toMatchObject({ state: expect.any(String), elapsed_seconds: expect.any(Number) });
      expect(events.at(-1)).toMatchObject({ model_name: 'other.gguf', load_seconds: expect.any(Number) });
      expectAnswered(await generate(userKey, 'other.gguf'));
      expect(await post('/unload_model', {})).toMatchObject({
        status: 409,
        body: { detail: expect.stringContaining('other.gguf, tiny') },
      });
    },
    LOAD_TIMEOUT_MS,
  );

  test('only who may load does, and nothing outside of the model directory', async () => {
    expect(await post('/load_model', { model_name: 'tiny' }, userKey)).toMatchObject({ status: 403 });
    expect(await post('/unload_model', { model_name: 'tiny' }, userKey)).toMatchObject({ status: 403 });
    const outside = await post('/load_model', { model_name: '../../etc/passwd.gguf', hf_token: TOKEN });
    expect(outside).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^model_name: /) } });
    expectAnswered(await generate());
  });

  test('no process has printed a token of the hub', async () => {
    expect((await post('/load_model', { model_name: 'tiny', hf_token: `${TOKEN} ` })).status).toBe(400);
    for (const program of mesh.processes.values()) expect(program.output()).not.toContain(TOKEN);
  });
});
