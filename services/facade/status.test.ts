import { afterEach, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { startFacade, type TestFacade, type TestOptions } from './test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

const engine = {
  name: 'chat',
  kind: 'llama.cpp',
  modelId: 'org/tiny-1',
  state: EngineState.READY,
  address: 'embedded:llama.cpp',
  required: true,
};

function fleet(...engines: object[]): NonNullable<TestOptions['fleet']> {
  return { defaultModel: 'chat', nodes: [{ node: 'n1', engines }] };
}

async function get(path: string, options: TestOptions = {}) {
  facade = await startFacade(options);
  const response = await fetch(facade.url + path);
  return { status: response.status, body: await response.json() };
}

test('/health has every field that the monitors read', async () => {
  expect(await get('/health', { fleet: fleet(engine) })).toEqual({
    status: 200,
    body: {
      status: 'healthy',
      version: '1.2.3',
      model: 'org/tiny-1',
      backend: 'llama.cpp',
      model_loaded: true,
      available_models: ['org/tiny-1'],
      redis_connected: true,
      store: 'sqlite',
      vllm_status: 'not_configured',
      backends: { chat: ['embedded:llama.cpp'] },
    },
  });
});

const vllm = { name: 'sql', kind: 'vllm', state: EngineState.BACKOFF, address: 'http://127.0.0.1:9' };
const down = { storeKind: 'redis', storeAnswers: false } as const;

test.each([
  [
    'another engine is down',
    { fleet: fleet(engine, vllm) },
    200,
    { status: 'degraded', vllm_status: 'disconnected', backends: { sql: [] } },
  ],
  [
    'an engine was stopped by hand',
    { fleet: fleet(engine, { ...vllm, state: EngineState.STOPPED }) },
    200,
    { status: 'healthy' },
  ],
  [
    'the only model comes on demand and is not loaded yet',
    { fleet: fleet({ ...engine, required: false, onDemand: true, state: EngineState.STOPPED }) },
    200,
    { status: 'healthy', model_loaded: false, available_models: ['org/tiny-1'], backends: { chat: [] } },
  ],
  [
    'an engine that comes on demand sleeps',
    { fleet: fleet(engine, { ...vllm, onDemand: true, state: EngineState.SLEEPING }) },
    200,
    { status: 'healthy', model_loaded: true },
  ],
  [
    'an engine is being unloaded by hand',
    { fleet: fleet(engine, { ...vllm, onDemand: true, unloaded: true, state: EngineState.DRAINING }) },
    200,
    { status: 'healthy' },
  ],
  [
    'an engine that comes on demand does not start',
    { fleet: fleet(engine, { ...vllm, onDemand: true, state: EngineState.QUARANTINED }) },
    200,
    { status: 'degraded' },
  ],
  [
    'the only model was unloaded by hand',
    { fleet: fleet({ ...engine, required: false, onDemand: true, unloaded: true, state: EngineState.STOPPED }) },
    503,
    { status: 'unhealthy', model_loaded: false, available_models: [] },
  ],
  [
    'a vLLM server serves that runs elsewhere',
    { fleet: fleet(engine, { ...vllm, name: 'vllm', kind: 'openai', state: EngineState.READY }) },
    200,
    { vllm_status: 'connected' },
  ],
  ['vLLM serves', { fleet: fleet(engine, { ...vllm, state: EngineState.READY }) }, 200, { vllm_status: 'connected' }],
  [
    'the default model loads',
    { fleet: fleet({ ...engine, state: EngineState.STARTING }) },
    503,
    { status: 'unhealthy', model_loaded: false, backend: 'llama.cpp' },
  ],
  ['the registry is away', {}, 503, { status: 'unhealthy', model: null }],
  [
    'the store is away',
    { fleet: fleet(engine), resources: { health: async () => down } },
    503,
    { status: 'unhealthy', redis_connected: false, store: 'redis' },
  ],
  ['the process drains', { fleet: fleet(engine), resources: { isLeaving: () => true } }, 503, { status: 'unhealthy' }],
] as const)('/health when %s', async (_when, options, status, body) => {
  expect(await get('/health', options as TestOptions)).toMatchObject({ status, body });
});

test.each([
  ['all is well', { fleet: fleet(engine) }, 200, { status: 'ready' }],
  ['an engine that is not required is down', { fleet: fleet(engine, vllm) }, 200, { status: 'ready' }],
  [
    'the only model comes on demand',
    { fleet: fleet({ ...engine, required: false, onDemand: true, state: EngineState.STOPPED }) },
    200,
    { status: 'ready' },
  ],
  ['a required one is down', { fleet: fleet(engine, { ...vllm, required: true }) }, 503, { reason: 'model' }],
  ['nobody announced the default model yet', { fleet: { ...fleet(), defaultModel: 'chat' } }, 503, { reason: 'model' }],
  ['no node has registered yet', { fleet: {} }, 503, { reason: 'registry' }],
  ['there is no model at all', { fleet: { ...fleet(), defaultModel: '' } }, 200, { status: 'ready' }],
  ['the store is away', { fleet: fleet(engine), resources: { health: async () => down } }, 503, { reason: 'store' }],
  ['the registry is away', {}, 503, { reason: 'registry' }],
  ['the process drains', { fleet: fleet(engine), resources: { isLeaving: () => true } }, 503, { reason: 'draining' }],
  [
    'a worker was never ready',
    { fleet: fleet(engine), resources: { awaitsWorkers: () => true } },
    503,
    { reason: 'workers' },
  ],
] as const)('/readyz when %s', async (_when, options, status, body) => {
  expect(await get('/readyz', options as TestOptions)).toMatchObject({ status, body });
});

test('/healthz needs nothing, / lists the endpoints', async () => {
  expect(await get('/healthz')).toEqual({ status: 200, body: { status: 'ok' } });
  const index = (await (await fetch(facade.url)).json()) as { endpoints: string[] };
  expect(index).toMatchObject({ name: 'inference-mesh', version: '1.2.3', health: '/health' });
  expect(index.endpoints).toContain('POST /v1/chat/completions');
});
