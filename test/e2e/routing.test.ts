import { delimiter, resolve } from 'node:path';
import { createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { type Ledger, readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const FAKES = resolve(import.meta.dirname, '../engines/bin');
const START_TIMEOUT_MS = 180_000;

// The last test ends engines that the others use.
describe.each(arrangements())('the way of a request, %s', (arrangement) => {
  let mesh: TestMesh;
  let a: FakeEngine;
  let b: FakeEngine;
  let transport: Transport;

  beforeAll(async () => {
    [a, b] = await Promise.all([startFakeEngine({ tokens: 2 }), startFakeEngine({ tokens: 2 })]);
    const attached = (name: string, engine: FakeEngine) => ({
      ...{ name, engine: 'openai', model: 'twin', base_url: engine.baseUrl, required: true },
    });
    const models = [
      attached('a', a),
      attached('b', b),
      { name: 'words', engine: 'llama.cpp', model: RANDOM_MODEL, required: true },
      { name: 'vectors', engine: 'vllm', model: 'BAAI/bge-m3', task: 'embed', devices: [], required: true },
    ];
    const config = { inference: { models }, router: { fallbacks: { twin: ['words'] } } };
    const env = { PATH: [FAKES, process.env.PATH].join(delimiter) };
    mesh = await startMesh(arrangement, { config, env });
    transport = createGrpcTransport({ baseUrl: mesh.url });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await Promise.all([a?.stop(), b?.stop()]);
  });

  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
  const router = () => createClient(RouterService, transport);

  async function newKey(scopes: Scope[] = [Scope.GENERATE]): Promise<{ id: string; secret: string }> {
    const auth = createClient(AuthService, transport);
    const { apiKey, secret } = await auth.createApiKey({ tier: 'standard', scopes }, bearer(mesh.adminKey));
    return { id: apiKey?.keyId ?? '', secret };
  }

  function chat(model: string, key: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], max_tokens: 4 }),
    });
  }

  const served = async (): Promise<number[]> => [(await a.counts()).served, (await b.counts()).served];
  const settled = (key: string): Promise<Ledger> =>
    eventually('everything is settled', async () => {
      const ledger = await readLedger(mesh, key);
      return ledger.held === 0 ? ledger : undefined;
    });

  test('vectors are charged as one request and what the engine counts of the prompt', async () => {
    const key = await newKey();
    const inputs = ['a', 'four'].map((value) => ({ input: { case: 'text' as const, value } }));
    const answer = await router().embed({ model: 'vectors', inputs, dimensions: 2 }, bearer(key.secret));
    expect(answer.embeddings.map(({ values }) => values)).toEqual([
      [1, 1.125],
      [4, 4.125],
    ]);
    expect(await settled(key.id)).toMatchObject({
      requests: 1,
      promptTokens: answer.promptTokens,
      completionTokens: 0,
    });
  });

  test('tokens of a prompt are told for nothing', async () => {
    const key = await newKey();
    const prompt = { input: { case: 'text' as const, value: 'hello there' } };
    const answer = await router().tokenize({ model: 'words', prompt }, bearer(key.secret));
    expect(answer.tokenIds.length).toBeGreaterThan(0);
    expect(answer.contextTokens).toBeGreaterThan(0);
    expect(await settled(key.id)).toMatchObject({ requests: 0, promptTokens: 0 });
  });

  test('who may not, what is not there and what cannot is refused by name, and charged nothing', async () => {
    const key = await newKey([Scope.MODELS_READ]);
    const inputs = [{ input: { case: 'text' as const, value: 'a' } }];
    await expect(router().embed({ model: 'vectors', inputs }, bearer(key.secret))).rejects.toThrow(/generate/);
    await expect(router().embed({ model: 'vectors', inputs })).rejects.toThrow(/API key/);
    const able = await newKey();
    await expect(router().embed({ model: 'gpt-9', inputs }, bearer(able.secret))).rejects.toThrow(/gpt-9/);
    await expect(router().embed({ model: 'words', inputs }, bearer(able.secret))).rejects.toThrow(/'embeddings'/);
    expect(await settled(able.id)).toMatchObject({ requests: 0, promptTokens: 0 });
  });

  test('an admin pins a request to an engine, over REST and RPC; nobody else does', async () => {
    const before = await served();
    for (let i = 0; i < 6; i += 1)
      expect((await chat('twin', mesh.adminKey, { 'x-mesh-engine': 'b' })).status).toBe(200);
    const prompt = { input: { case: 'text' as const, value: 'hi' } };
    const engines: string[] = [];
    for await (const { event } of router().generate({ model: 'twin', prompt, engine: 'b' }, bearer(mesh.adminKey))) {
      if (event.case === 'started') engines.push(event.value.engine);
    }
    expect(engines).toEqual(['b']);
    await eventually('b served all', async () => (await served())[1] === (before[1] ?? 0) + 7);
    expect((await served())[0]).toBe(before[0]);
    const { secret } = await newKey();
    expect((await chat('twin', secret, { 'x-mesh-engine': 'b' })).status).toBe(403);
    expect((await chat('twin', mesh.adminKey, { 'x-mesh-engine': 'nobody' })).status).toBe(503);
  });

  test('a session stays on one engine', async () => {
    const used = new Set<number>();
    for (let session = 0; session < 12; session += 1) {
      const [before = 0] = await served();
      for (let i = 0; i < 3; i += 1) {
        expect((await chat('twin', mesh.adminKey, { 'x-session-id': `s${session}` })).status).toBe(200);
      }
      const [after = 0] = await eventually('all are counted', async () => await served());
      used.add(after - before);
    }
    // Each of the sessions had all of its three there or none; with twelve of them both happened.
    expect([...used].sort()).toEqual([0, 3]);
  });

  test('a route is explained without being taken', async () => {
    const { secret } = await newKey([Scope.MODELS_READ]);
    const before = await served();
    const prompt = { input: { case: 'text' as const, value: 'hi' } };
    const told = await router().explainRoute({ request: { model: 'twin', prompt } }, bearer(secret));
    expect(told.candidates.map(({ chosen }) => chosen)).toEqual([true, false, false]);
    expect(told.candidates.map(({ engine }) => engine).sort()).toEqual(['a', 'b', 'words']);
    expect(told.candidates.find(({ engine }) => engine === 'words')?.why).toMatch(/fallback/);
    const unknown = router().explainRoute({ request: { model: 'gpt-9', prompt } }, bearer(secret));
    await expect(unknown).rejects.toThrow(/gpt-9/);
    const { secret: other } = await newKey();
    const refused = router().explainRoute({ request: { model: 'twin', prompt } }, bearer(other));
    await expect(refused).rejects.toThrow(/models:read/);
    expect(await served()).toEqual(before);
  });

  test('when no engine of a model is left, its fallback answers and says so', async () => {
    await Promise.all([a.stop(), b.stop()]);
    const inference = createClient(InferenceService, transport);
    await eventually('the mesh knows that both are gone', async () => {
      const { engines } = await inference.listEngines({}, bearer(mesh.adminKey));
      const twins = engines.filter(({ engine }) => engine?.modelId === 'twin');
      return twins.every(({ engine }) => engine?.state !== EngineState.READY);
    });
    const prompt = { input: { case: 'text' as const, value: 'hi' } };
    const request = { model: 'twin', prompt, sampling: { maxTokens: 2 } };
    const engines = await eventually('the fallback answers', async () => {
      const started: string[] = [];
      for await (const { event } of router().generate(request, bearer(mesh.adminKey))) {
        if (event.case === 'started') started.push(`${event.value.model} ${event.value.engine} ${event.value.modelId}`);
      }
      return started;
    });
    expect(engines).toEqual([expect.stringMatching(/^twin words (?!twin)/)]);
    const pinned = await chat('twin', mesh.adminKey, { 'x-mesh-engine': 'a' });
    expect(pinned.status).toBe(503);
  });
});
