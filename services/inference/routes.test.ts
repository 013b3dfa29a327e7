import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type Client, createRouterTransport, type Interceptor } from '@connectrpc/connect';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { type Principal, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { startFakeEngine } from '../../test/engines/fake-engine.ts';
import { RANDOM_MODEL } from '../../test/fixtures/embedded-engine.ts';
import { createErrorInterceptor, createErrorMapper } from '../shared/interceptors/errors.ts';
import { PEER_PRINCIPAL, principalKey } from '../shared/interceptors/principal.ts';
import { createMeshClient } from '../shared/transport/client.ts';
import { inferenceConfigSchema } from './config.ts';
import { createInferenceContext, type InferenceContext } from './context.ts';
import { inferenceRoutes } from './routes.ts';

const log = pino({ level: 'silent' });
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function start(models: readonly object[]): InferenceContext {
  const dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const context = createInferenceContext(inferenceConfigSchema.parse({ node: 'here', devices: 'none', models }), {
    routers: [],
    dataDir,
    nodePath: process.execPath,
    environmentVariable: (name) => process.env[name],
    log,
    now: Date.now,
  });
  context.start();
  closers.push(async () => {
    await context.close();
    rmSync(dataDir, { recursive: true });
  });
  return context;
}

function clientOf(context: InferenceContext, principal: Principal = PEER_PRINCIPAL): Client<typeof InferenceService> {
  const signIn: Interceptor = (next) => (request) => {
    request.contextValues.set(principalKey, principal);
    return next(request);
  };
  const transport = createRouterTransport(inferenceRoutes(context), {
    router: { interceptors: [createErrorInterceptor(createErrorMapper(log)), signIn] },
  });
  return createMeshClient(InferenceService, transport);
}

const READER = create(PrincipalSchema, { keyId: 'k', scopes: [Scope.MODELS_READ] });

test('the methods answer over RPC', async () => {
  const fake = await startFakeEngine({ tokens: 2 });
  closers.push(() => fake.stop());
  const context = start([
    { name: 'remote', engine: 'openai', base_url: fake.baseUrl },
    { name: 'own', engine: 'llama.cpp', model: RANDOM_MODEL },
  ]);
  const client = clientOf(context);
  const states = () => context.engines().map((engine) => engine.state);
  await expect.poll(states).toEqual([EngineState.READY, EngineState.READY]);

  const { engines } = await client.listEngines({});
  expect(engines.map(({ node, engine }) => [node, engine?.name])).toEqual([
    ['here', 'remote'],
    ['here', 'own'],
  ]);

  const text = { input: { case: 'text' as const, value: 'Hello' } };
  const events: string[] = [];
  for await (const { event } of client.generate({ engine: 'remote', prompt: text })) events.push(event.case ?? '');
  expect(events[0]).toBe('started');
  expect(events.at(-1)).toBe('usage');

  const { tokenIds, contextTokens } = await client.tokenize({ model: 'own', prompt: text });
  expect(tokenIds.length).toBeGreaterThan(0);
  expect(contextTokens).toBeGreaterThan(0);
  await expect(client.tokenize({ model: 'remote', prompt: text })).rejects.toThrow(/tokenize/);
});

test('a watcher sees every engine, then its changes', async () => {
  const fake = await startFakeEngine();
  const context = start([{ name: 'remote', engine: 'openai', base_url: fake.baseUrl }]);
  const seen: (EngineState | undefined)[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    for await (const { engines } of clientOf(context).watchEngines({}, { signal: stop.signal })) {
      seen.push(engines[0]?.state);
    }
  })();
  await expect.poll(() => seen.at(-1)).toBe(EngineState.READY);
  await fake.stop();
  await expect.poll(() => seen.at(-1)).toBe(EngineState.UNHEALTHY);
  stop.abort();
  await expect(watching).rejects.toThrow();
});

test('evidence is for admins', async () => {
  const context = start([{ name: 'own', engine: 'llama.cpp', model: '/no/such.gguf' }]);
  await expect.poll(() => context.engines()[0]?.failure?.evidence.length).toBeGreaterThan(0);
  const failureFor = async (principal: Principal) =>
    (await clientOf(context, principal).listEngines({})).engines[0]?.engine?.failure;
  expect((await failureFor(READER))?.evidence).toEqual([]);
  expect((await failureFor(READER))?.hint).not.toBe('');
  expect((await failureFor(PEER_PRINCIPAL))?.evidence).not.toEqual([]);
});
