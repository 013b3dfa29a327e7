import { once } from 'node:events';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { InferenceService, LoadModelResponse } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fromConnectError, toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { ADMIN, startFleet, type TestFleet } from '../fleet/fleet.fixture.ts';

const { READY, STARTING, STOPPED } = EngineState;
const headers = ADMIN;

let fleet: TestFleet;
/** What nodes were asked, as "node method model". */
let asked: string[];
beforeEach(() => {
  fleet = startFleet();
  asked = [];
});
afterEach(() => fleet.close());

type NodeImpl = Partial<ServiceImpl<typeof InferenceService>>;

/** A node that does what it is told at once, and reports it. */
function obedient(name: string, change: NodeImpl = {}): NodeImpl {
  return {
    listEngines: () => ({ engines: [] }),
    explainPlacement: ({ model }) => {
      asked.push(`${name} explain ${model}`);
      return { fits: true, candidates: [{ node: name, device: {}, chosen: true }] };
    },
    async *loadModel({ model, node }) {
      asked.push(`${node} load ${model}`);
      yield { engine: { name: model, state: STARTING, percent: 50 }, node: name };
      fleet.report(name, [{ name: model, state: READY }]);
      yield { engine: { name: model, state: READY }, elapsed: durationFromMs(7), node: name };
    },
    unloadModel({ model, node }) {
      asked.push(`${node} unload ${model}`);
      fleet.report(name, [{ name: model, state: STOPPED, unloaded: true }]);
      return { engines: [{ node: name, engine: { name: model, state: STOPPED, unloaded: true } }] };
    },
    ...change,
  };
}

const refuses = (reason: 'MODEL_NOT_FOUND' | 'CONFLICT' | 'INVALID_FIELD') => () => {
  throw toConnectError(new MeshError(reason, 'no', { metadata: { field: 'model' } }));
};

async function load(model: string, node = '', signal?: AbortSignal): Promise<LoadModelResponse[]> {
  const seen: LoadModelResponse[] = [];
  const options = signal ? { headers, signal } : { headers };
  for await (const progress of fleet.client.loadModel({ model, node }, options)) seen.push(progress);
  return seen;
}
const unload = (model: string, node = '') => fleet.client.unloadModel({ model, node }, { headers });
const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => expect.fail('it succeeded'),
    (error: unknown) => fromConnectError(error),
  );

test('a load streams what the node tells', async () => {
  await fleet.node('a', obedient('a'));
  const seen = await load('m');
  expect(seen).toMatchObject([
    { engine: { state: STARTING, percent: 50 }, node: 'a' },
    { engine: { state: READY }, node: 'a', elapsed: { nanos: 7_000_000 } },
  ]);
});

test('a load goes to the node that is named', async () => {
  await fleet.node('a', obedient('a'), [{ name: 'm', state: READY }]);
  await fleet.node('b', obedient('b'));
  await load('m', 'b');
  expect(asked).toEqual(['b load m']);
  expect(await errorOf(load('m', 'c'))).toMatchObject({ reason: 'NOT_FOUND', metadata: { kind: 'node', id: 'c' } });
  fleet.lose('b');
  expect(await errorOf(load('m', 'b'))).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
});

test('else to one that has it, unless that takes nothing new; nobody is asked for a place', async () => {
  await fleet.node('a', obedient('a'));
  await fleet.node('b', obedient('b'), [{ name: 'm', state: STOPPED }]);
  await load('m');
  expect(asked).toEqual(['b load m']);
  fleet.report('b', [{ name: 'm', state: READY }], { draining: true });
  await load('m');
  expect(asked.at(-1)).toBe('a load m');
});

test('else to the best place; whoever asks for the same model meanwhile, or later, comes to the same node', async () => {
  const arrived = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const slow: NodeImpl = {
    async explainPlacement({ model }) {
      asked.push(`b explain ${model}`);
      arrived.resolve();
      await go.promise;
      return { fits: true, estimatedBytes: 1n, candidates: [{ device: { index: 0 }, chosen: true }] };
    },
  };
  await fleet.node('a', obedient('a'));
  await fleet.node('b', obedient('b', slow));
  const both = [load('m'), load('m')];
  await arrived.promise;
  go.resolve();
  await Promise.all(both);
  // As when its files are still on their way: the node does not tell of it.
  fleet.report('b', []);
  await load('m');
  expect(asked.filter((one) => one.includes('explain')).sort()).toEqual(['a explain m', 'b explain m']);
  expect(asked.filter((one) => one.includes('load'))).toEqual(['b load m', 'b load m', 'b load m']);
});

test('a decision is made anew when its node has started anew, or the load has failed', async () => {
  let fails = true;
  const failing: NodeImpl = {
    async *loadModel(request, context) {
      if (fails) throw toConnectError(new MeshError('CONFLICT', 'no room'));
      yield* obedient('a').loadModel?.(request, context) as AsyncIterable<object>;
    },
  };
  await fleet.node('a', obedient('a', failing));
  expect(await errorOf(load('m'))).toMatchObject({ reason: 'CONFLICT', message: 'no room' });
  fails = false;
  await load('m');
  fleet.report('a', [], { epoch: 2n });
  await load('m');
  expect(asked.filter((one) => one.includes('explain'))).toHaveLength(3);
});

test('a decision that its caller leaves does not fail the others', async () => {
  const arrived = Promise.withResolvers<void>();
  let times = 0;
  const slow: NodeImpl = {
    async explainPlacement(_request, { signal }) {
      times++;
      arrived.resolve();
      if (times === 1) await once(signal, 'abort');
      return { fits: true };
    },
  };
  await fleet.node('a', obedient('a', slow));
  const leaving = new AbortController();
  const first = errorOf(load('m', '', leaving.signal));
  await arrived.promise;
  const second = load('m');
  leaving.abort();
  await first;
  expect((await second).at(-1)?.engine?.state).toBe(READY);
  expect(times).toBe(2);
});

test('no node takes a model: said so', async () => {
  expect(await errorOf(load('m'))).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  await fleet.node('a', obedient('a', { explainPlacement: refuses('INVALID_FIELD') }));
  expect(await errorOf(load('m'))).toMatchObject({ reason: 'INVALID_FIELD' });
});

test('leaving a load ends the call of the node', async () => {
  const loading = Promise.withResolvers<AbortSignal>();
  const hangs: NodeImpl = {
    async *loadModel(_request, { signal }) {
      loading.resolve(signal);
      yield { engine: { state: STARTING } };
      await once(signal, 'abort');
    },
  };
  await fleet.node('a', obedient('a', hangs), [{ name: 'm', state: STOPPED }]);
  const leaving = new AbortController();
  const left = errorOf(load('m', '', leaving.signal));
  const signal = await loading.promise;
  leaving.abort();
  await left;
  await expect.poll(() => signal.aborted).toBe(true);
});

test('the end of a load, and of an unload, is told when requests are routed by it', async () => {
  const told = Promise.withResolvers<void>();
  const unloaded = Promise.withResolvers<void>();
  const late: NodeImpl = {
    listEngines: () => ({}),
    async *loadModel({ model }) {
      yield { engine: { name: model, state: READY }, node: 'a' };
      told.resolve();
    },
    unloadModel({ model }) {
      unloaded.resolve();
      return { engines: [{ node: 'a', engine: { name: model, state: STOPPED, unloaded: true } }] };
    },
  };
  await fleet.node('a', late, [{ name: 'm', state: STARTING }]);
  let isOver = false;
  const loading = load('m').finally(() => {
    isOver = true;
  });
  await told.promise;
  // What was told before this has arrived.
  await fleet.client.listEngines({}, { headers });
  expect(isOver).toBe(false);
  fleet.report('a', [{ name: 'm', state: READY }]);
  await loading;
  expect(fleet.registry.snapshot.route('m')?.candidates[0]?.engine.state).toBe(READY);
  isOver = false;
  const unloading = unload('m').finally(() => {
    isOver = true;
  });
  await unloaded.promise;
  await fleet.client.listEngines({}, { headers });
  expect(isOver).toBe(false);
  fleet.report('a', [{ name: 'm', state: STOPPED, unloaded: true }]);
  await unloading;
});

test('an unload reaches every node that has the model, also one that has not reported it yet', async () => {
  await fleet.node('a', obedient('a'), [{ name: 'm', state: READY }]);
  await fleet.node('b', obedient('b'));
  await fleet.node('c', obedient('c', { unloadModel: refuses('MODEL_NOT_FOUND') }));
  const { engines } = await unload('m');
  expect(engines.map(({ node }) => node)).toEqual(['a', 'b']);
  expect(asked.sort()).toEqual(['a unload m', 'b unload m']);
  await unload('m', 'b');
  expect(asked.at(-1)).toBe('b unload m');
});

test('what nodes say against it is told: nobody knows it, it is loading, its node has gone', async () => {
  expect(await errorOf(unload('m'))).toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  await fleet.node('a', obedient('a', { unloadModel: refuses('MODEL_NOT_FOUND') }));
  expect(await errorOf(unload('m'))).toMatchObject({ reason: 'MODEL_NOT_FOUND', metadata: { model: 'm' } });
  await fleet.node('b', obedient('b', { unloadModel: refuses('CONFLICT') }));
  await fleet.node('c', obedient('c'));
  expect(await errorOf(unload('m'))).toMatchObject({ reason: 'CONFLICT' });
  expect(asked).toEqual(['c unload m']);
  expect(await errorOf(unload('m', 'd'))).toMatchObject({ reason: 'NOT_FOUND' });
  await fleet.node('gone', {}, [{ name: 'far', modelId: 'org/far', state: READY }]);
  fleet.lose('gone');
  fleet.report('b', []);
  await fleet.cut('b');
  fleet.lose('b');
  await fleet.cut('c');
  fleet.lose('c');
  expect(await errorOf(unload('org/far'))).toMatchObject({ reason: 'PEER_UNAVAILABLE', metadata: { node: 'gone' } });
});

test('without a name it is the only one that is loaded, anywhere', async () => {
  const lists = (node: string, ...names: [string, EngineState, string?][]): NodeImpl => ({
    listEngines: () => ({
      engines: names.map(([name, state, deviceKind = 'cuda']) => ({ node, engine: { name, state, deviceKind } })),
    }),
  });
  expect((await errorOf(unload(''))).message).toContain('nothing is loaded');
  await fleet.node('a', obedient('a', lists('a', ['m', READY], ['idle', STOPPED])));
  await fleet.node('b', obedient('b', lists('b', ['m', READY], ['remote', READY, 'remote'])));
  await unload('');
  expect(asked.sort()).toEqual(['a unload m', 'b unload m']);
  await fleet.node('c', obedient('c', lists('c', ['other', STARTING])));
  expect(await errorOf(unload(''))).toMatchObject({
    reason: 'CONFLICT',
    message: expect.stringContaining('several are: m, other'),
  });
});

test('a log is followed where the engine is; of several nodes one must be named', async () => {
  const logs = (node: string): NodeImpl => ({
    listEngines: () => ({ engines: [{ node, engine: { name: 'chat' } }] }),
    async *tailLogs(request) {
      yield { lines: [{ text: `${node} ${request.engine} ${request.node} ${request.lines}` }] };
    },
  });
  const read = async (node = '', engine = 'chat') => {
    const texts: string[] = [];
    for await (const { lines } of fleet.client.tailLogs({ engine, node, lines: 5 }, { headers })) {
      texts.push(...lines.map(({ text }) => text));
    }
    return texts;
  };
  await fleet.node('a', logs('a'));
  expect(await read()).toEqual(['a chat a 5']);
  await fleet.node('b', logs('b'));
  expect(await errorOf(read())).toMatchObject({ reason: 'INVALID_FIELD', message: expect.stringContaining('a, b') });
  expect(await read('b')).toEqual(['b chat b 5']);
  expect(await errorOf(read('', 'sql'))).toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  expect(await errorOf(read('c'))).toMatchObject({ reason: 'NOT_FOUND' });
});
