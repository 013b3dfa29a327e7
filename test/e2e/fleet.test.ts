import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type { LoadModelResponse } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { type FleetMesh, type FleetProcess, startFleetMesh } from '../harness/fleet-mesh.ts';
import { eventually } from '../harness/processes.ts';

const { READY, STOPPED, UNHEALTHY } = EngineState;

type Plan = (a: object, b: object) => FleetProcess[];

/** Two nodes: all processes apart, and one node on the public port itself, which then answers for one and for all. */
const PLANS: [string, Plan][] = [
  [
    'the facade apart',
    (a, b) => [
      { name: 'front', roles: 'facade' },
      { name: 'a', roles: 'inference', inference: a, args: ['--model', 'none'] },
      { name: 'b', roles: 'inference', inference: b, args: ['--model', 'none'] },
    ],
  ],
  [
    'a node on the public port',
    (a, b) => [
      { name: 'a', roles: 'inference,facade', inference: a, args: ['--model', 'none'] },
      { name: 'b', roles: 'inference', inference: b, args: ['--model', 'none'] },
    ],
  ],
];

// The tests of one arrangement build on each other: the last one ends a node.
describe.each(PLANS)('two inference nodes, %s', (_name, plan) => {
  let engine: FakeEngine;
  let mesh: FleetMesh;

  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: 3 });
    const entry = (name: string) => ({ name, engine: 'openai', base_url: engine.baseUrl, required: true });
    mesh = await startFleetMesh(plan({ models: [entry('chat')] }, { models: [entry('chat'), entry('sql')] }));
    await eventually('all engines are ready', async () => {
      const all = await states();
      return all.length === 3 && all.every((state) => state.endsWith(` ${READY}`));
    });
  }, 120_000);
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  async function states(): Promise<string[]> {
    const { engines } = await mesh.inference.listEngines({});
    return engines.map(({ node, engine: one }) => `${node} ${one?.name} ${one?.state}`);
  }

  test('engines and devices are those of both', async () => {
    expect(await states()).toEqual([`a chat ${READY}`, `b chat ${READY}`, `b sql ${READY}`]);
    const { devices, problems } = await mesh.inference.listDevices({});
    expect(devices.map(({ node }) => node)).toEqual(['a', 'b']);
    expect(problems).toEqual([]);
  });

  test('who may not is told so on the public port, and by every node', async () => {
    const ask = (method: string, headers: object) =>
      fetch(`${mesh.url}/mesh.inference.v1.InferenceService/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: '{}',
      });
    expect((await ask('ListEngines', {})).status).toBe(401);
    // A caller cannot speak to one node as routers do.
    const asRouter = await ask('ListEngines', { authorization: `Bearer ${mesh.adminKey}`, 'mesh-to-node': '1' });
    expect(((await asRouter.json()) as { engines: object[] }).engines).toHaveLength(3);
  });

  test('a log is read where its engine is', async () => {
    await expect(mesh.inference.tailLogs({ engine: 'chat' })[Symbol.asyncIterator]().next()).rejects.toThrow(/a, b/);
    const leaving = new AbortController();
    const log = mesh.inference.tailLogs({ engine: 'sql', lines: 1 }, { signal: leaving.signal });
    expect((await log[Symbol.asyncIterator]().next()).done).toBe(false);
    leaving.abort();
  });

  test('a model is loaded once, on one node, unless another is named; it is unloaded on all', async () => {
    for (const node of ['a', 'b']) {
      const directory = join(mesh.dataDir(node), 'models');
      mkdirSync(directory, { recursive: true });
      copyFileSync(RANDOM_MODEL, join(directory, 'tiny.gguf'));
    }
    async function load(node = ''): Promise<string | undefined> {
      let last: LoadModelResponse | undefined;
      for await (const progress of mesh.inference.loadModel({ model: 'tiny.gguf', node })) last = progress;
      expect(last?.engine?.state).toBe(READY);
      return last?.node;
    }
    const nodesWith = async (state: EngineState) =>
      (await states()).filter((one) => one.endsWith(`tiny.gguf ${state}`)).map((one) => one.split(' ')[0]);

    const [one, other] = await Promise.all([load(), load()]);
    expect(one).toBe(other);
    expect(await nodesWith(READY)).toEqual([one]);
    const second = one === 'a' ? 'b' : 'a';
    expect(await load(second)).toBe(second);
    expect(await nodesWith(READY)).toEqual(['a', 'b']);
    await expect(load('c')).rejects.toThrow(/No node 'c'/);
    const { engines } = await mesh.inference.unloadModel({ model: 'tiny.gguf' });
    expect(engines.map(({ node }) => node)).toEqual(['a', 'b']);
    expect(await nodesWith(STOPPED)).toEqual(['a', 'b']);
  }, 120_000);

  test('a node that is killed is told as gone, watchers hear of it, and the rest goes on', async () => {
    const leaving = new AbortController();
    const seen = new Map<string, EngineState | undefined>();
    const watching = (async () => {
      for await (const { node, engines } of mesh.inference.watchEngines({}, { signal: leaving.signal })) {
        for (const one of engines) seen.set(`${node} ${one.name}`, one.state);
      }
    })().catch(() => undefined);
    await eventually('all engines were told', () => seen.size === 5);
    await mesh.processes.get('b')?.stop('SIGKILL');
    await eventually('the watcher knows', () => seen.get('b sql') === UNHEALTHY, 30_000);
    expect(seen.get('a chat')).toBe(READY);
    leaving.abort();
    await watching;

    expect((await states()).filter((state) => !state.includes('tiny'))).toEqual([
      `a chat ${READY}`,
      `b chat ${UNHEALTHY}`,
      `b sql ${UNHEALTHY}`,
    ]);
    const { devices, problems } = await mesh.inference.listDevices({});
    expect(devices.map(({ node }) => node)).toEqual(['a']);
    expect(problems).toMatchObject([{ node: 'b', what: expect.stringContaining('does not answer') }]);
    const answer = await fetch(`${mesh.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${mesh.adminKey}` },
      body: JSON.stringify({ model: 'chat', prompt: 'x' }),
    });
    expect(answer.status).toBe(200);
  });
});
