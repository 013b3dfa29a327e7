import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createRouterTransport, type Interceptor } from '@connectrpc/connect';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fakeSetting } from '../../../test/engines/launched-engine.ts';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { createErrorInterceptor, createErrorMapper } from '../../shared/interceptors/errors.ts';
import { PEER_PRINCIPAL, principalKey } from '../../shared/interceptors/principal.ts';
import { createMeshClient } from '../../shared/transport/client.ts';
import { inferenceConfigSchema } from '../config.ts';
import { createInferenceContext, type InferenceContext } from '../context.ts';
import { inferenceRoutes } from '../routes.ts';

const TIMEOUT_MS = 90_000;
const log = pino({ level: 'silent' });
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function start(models: readonly object[]): InferenceContext {
  const dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const context = createInferenceContext(inferenceConfigSchema.parse({ node: 'here', devices: 'none', models }), {
    ...fakeSetting(dataDir),
    routers: [],
    dataDir,
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

function clientOf(context: InferenceContext): Client<typeof InferenceService> {
  const signIn: Interceptor = (next) => (request) => {
    request.contextValues.set(principalKey, PEER_PRINCIPAL);
    return next(request);
  };
  const interceptors = [createErrorInterceptor(createErrorMapper(log)), signIn];
  const transport = createRouterTransport(inferenceRoutes(context), { router: { interceptors } });
  return createMeshClient(InferenceService, transport);
}

test('texts become vectors over RPC, and an engine without any is told by name', { timeout: TIMEOUT_MS }, async () => {
  const context = start([
    { name: 'vectors', engine: 'vllm', model: 'BAAI/bge-m3', task: 'embed', devices: [] },
    { name: 'words', engine: 'llama.cpp', model: RANDOM_MODEL },
  ]);
  const client = clientOf(context);
  const states = () => context.engines().map(({ state }) => state);
  await expect.poll(states, { timeout: TIMEOUT_MS }).toEqual([EngineState.READY, EngineState.READY]);
  const inputs = ['a', 'four'].map((value) => ({ input: { case: 'text' as const, value } }));
  const answer = await client.embed({ model: 'vectors', inputs, dimensions: 2 });
  expect(answer.embeddings.map(({ values }) => values)).toEqual([
    [1, 1.125],
    [4, 4.125],
  ]);
  expect(answer).toMatchObject({ promptTokens: 10, modelId: 'BAAI/bge-m3' });
  await expect(client.embed({ model: 'words', inputs })).rejects.toThrow(/'words' does not support 'embeddings'/);
  await expect(client.embed({ model: 'nobody', inputs })).rejects.toThrow(/No engine 'nobody'/);
});
