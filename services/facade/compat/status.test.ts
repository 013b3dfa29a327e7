import { afterEach, expect, test } from 'vitest';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { startFacade, type TestFacade, type TestOptions } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

const tiny = { name: 'tiny', kind: 'llama.cpp', modelId: 'org/tiny-1', state: EngineState.READY, deviceKind: 'cpu' };
const sql = { name: 'sql', kind: 'vllm', modelId: 'org/sql', state: EngineState.STARTING, deviceKind: 'cuda' };

async function status(engines: object[], options: TestOptions = {}) {
  const models = [
    { id: 'org/tiny-1', names: ['tiny'] },
    { id: 'org/sql', names: ['sql'] },
  ];
  facade = await startFacade({ fleet: { nodes: [{ node: 'n', engines }] }, models, ...options });
  return facade.call('/status');
}

test.each([
  ['cpu: model loaded on CPU', [tiny]],
  ['cuda: model loaded on GPU', [tiny, { ...sql, state: EngineState.READY }]],
  ['cuda: model loaded on GPU', [{ ...tiny, deviceKind: 'metal' }]],
  ['no model loaded', [{ ...tiny, state: EngineState.STOPPED }, sql]],
  ['no model loaded', []],
])('%s', async (text, engines) => {
  const response = await status(engines);
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ status: text });
  expect(response.headers.get('x-ratelimit-remaining-minute')).toBe('29');
});

test('tells how every engine is that the caller may use', async () => {
  const loading = { ...sql, devices: [0, 1], stage: 'loading weights', percent: 12, onDemand: true };
  const engines = [{ ...tiny, unloaded: true }, loading, { ...tiny, name: 'secret', modelId: 'org/secret' }];
  expect(await (await status(engines)).json()).toEqual({
    status: 'cpu: model loaded on CPU',
    engines: [
      {
        model: 'tiny',
        model_id: 'org/tiny-1',
        state: 'ready',
        device: 'cpu',
        engine: 'llama.cpp',
        on_demand: false,
        unloaded: true,
      },
      {
        model: 'sql',
        model_id: 'org/sql',
        state: 'starting',
        device: 'cuda:0,1',
        engine: 'vllm',
        stage: 'loading weights',
        percent: 12,
        on_demand: true,
        unloaded: false,
      },
    ],
  });
});

test('needs a caller; HEAD works, other methods are named', async () => {
  expect((await status([tiny])).status).toBe(200);
  expect((await fetch(`${facade.url}/status`)).status).toBe(401);
  const head = await facade.call('/status', { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
  const wrong = await facade.call('/status', { method: 'DELETE' });
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
});

test('a registry that does not answer is told', async () => {
  facade = await startFacade();
  expect((await facade.call('/status')).status).toBe(503);
});
