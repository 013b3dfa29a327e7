import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { ListEnginesResponse } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fromConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { ADMIN, READER, startFleet, type TestFleet } from './fleet.fixture.ts';

let fleet: TestFleet;
beforeEach(() => {
  fleet = startFleet();
});
afterEach(() => fleet.close());

const ready = (name: string) => ({ name, state: EngineState.READY });
const shown = ({ engines }: ListEnginesResponse) =>
  engines.map(({ node, engine }) => [node, engine?.name, engine?.state]);
const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error: unknown) => fromConnectError(error).reason,
  );

/** A node that says of itself what it has. */
const lists = (node: string, ...engines: { name: string; state: EngineState }[]) => ({
  listEngines: () => ({ engines: engines.map((engine) => ({ node, engine })) }),
});

test('engines of all nodes, by name, as the nodes say now', async () => {
  await fleet.node('b', lists('b', ready('chat'), ready('sql')), [{ name: 'chat', state: EngineState.STARTING }]);
  await fleet.node('a', lists('a', ready('sql')));
  expect(shown(await fleet.client.listEngines({}, { headers: READER }))).toEqual([
    ['b', 'chat', EngineState.READY],
    ['a', 'sql', EngineState.READY],
    ['b', 'sql', EngineState.READY],
  ]);
});

test('nodes are asked as the caller, for themselves alone', async () => {
  const seen: (string | null)[][] = [];
  await fleet.node('a', {
    listEngines(_request, { requestHeader }) {
      seen.push(['authorization', 'x-request-id', 'mesh-to-node'].map((name) => requestHeader.get(name)));
      return {};
    },
  });
  await fleet.client.listEngines({}, { headers: { ...READER, 'x-request-id': 'r1' } });
  expect(seen).toEqual([['Bearer reader', 'r1', '1']]);
  expect(await reasonOf(fleet.client.listEngines({}, { headers: { authorization: 'Bearer x' } }))).toBe(
    'CREDENTIAL_INVALID',
  );
  expect(seen).toHaveLength(1);
});

test('of a node that does not answer, engines are told as it reported them, its log lines to admins only', async () => {
  const failure = { cause: FailureCause.BAD_FLAG, evidence: ['error: --x'], hint: 'look' };
  await fleet.node('a', lists('a', ready('chat')));
  await fleet.node(
    'hangs',
    {
      listEngines: async (_request, { signal }) => {
        await once(signal, 'abort');
        return {};
      },
    },
    [{ name: 'sql', state: EngineState.BACKOFF, failure }],
  );
  const told = async (headers: Record<string, string>) => {
    const answer = await fleet.client.listEngines({}, { headers, timeoutMs: 2_000 });
    expect(shown(answer)).toEqual([
      ['a', 'chat', EngineState.READY],
      ['hangs', 'sql', EngineState.BACKOFF],
    ]);
    return answer.engines[1]?.engine?.failure;
  };
  expect(await told(READER)).toMatchObject({ hint: 'look', evidence: [] });
  expect(await told(ADMIN)).toMatchObject({ evidence: ['error: --x'] });
});

test('a node that has gone is not asked; its engines can take nothing', async () => {
  let asked = 0;
  await fleet.node('a', { listEngines: () => ({ engines: [{ node: String(++asked) }] }) }, [ready('chat')]);
  fleet.lose('a');
  const { engines } = await fleet.client.listEngines({}, { headers: READER });
  expect(engines).toMatchObject([
    { node: 'a', engine: { name: 'chat', state: EngineState.UNHEALTHY, failure: { cause: FailureCause.UNREACHABLE } } },
  ]);
  expect(asked).toBe(0);
});

test('devices of all nodes; a node that does not answer is a problem', async () => {
  await fleet.node('a', {
    listDevices: () => ({
      devices: [{ node: 'a', device: { name: 'H100' } }],
      problems: [{ node: 'a', what: 'the driver fails' }],
    }),
  });
  await fleet.node('b', { listDevices: () => ({ devices: [{ node: 'b', device: { name: 'L40S' } }] }) });
  await fleet.node('gone', {}, [ready('chat')]);
  fleet.lose('gone');
  await fleet.node('hangs', {
    listDevices: async (_request, { signal }) => {
      await once(signal, 'abort');
      return {};
    },
  });
  await fleet.node('cut', {});
  await fleet.cut('cut');
  const { devices, problems } = await fleet.client.listDevices({}, { headers: READER, timeoutMs: 3_000 });
  expect(devices.map(({ node, device }) => [node, device?.name])).toEqual([
    ['a', 'H100'],
    ['b', 'L40S'],
  ]);
  expect(problems).toMatchObject([
    { node: 'a', what: 'the driver fails' },
    ...['cut', 'gone', 'hangs'].map((node) => ({ node, what: expect.stringContaining('does not answer') })),
  ]);
});

test('a placement is the best node’s, with every candidate', async () => {
  const placed = (node: string, index: number | undefined, fits = true) => ({
    explainPlacement: () => ({
      fits,
      summary: fits ? `on CUDA device ${index}` : 'no room',
      estimatedBytes: 10n,
      candidates: [{ node, device: index === undefined ? {} : { index }, chosen: fits, freeBytes: 100n }],
    }),
  });
  await fleet.node('a', placed('a', 3, false));
  await fleet.node('b', placed('b', 1));
  await fleet.node('drained', placed('drained', 0));
  fleet.report('drained', [], { draining: true });
  const refuses = new MeshError('INVALID_FIELD', 'model: is no configured engine', { metadata: { field: 'model' } });
  await fleet.node('c', {
    explainPlacement() {
      throw refuses;
    },
  });
  const told = await fleet.client.explainPlacement({ model: 'm' }, { headers: READER });
  expect(told).toMatchObject({ fits: true, summary: "node 'b': on CUDA device 1", estimatedBytes: 10n });
  expect(told.candidates.map(({ node, chosen }) => [node, chosen])).toEqual([
    ['b', true],
    ['a', false],
  ]);
});

test('a model that no node can place is refused as the nodes refuse it; without nodes nothing fits', async () => {
  expect(await fleet.client.explainPlacement({ model: 'm' }, { headers: READER })).toMatchObject({
    fits: false,
    summary: 'no node takes a model now',
  });
  await fleet.node('a', {
    explainPlacement() {
      throw new MeshError('INVALID_FIELD', 'model: is no configured engine');
    },
  });
  expect(await reasonOf(fleet.client.explainPlacement({ model: 'm' }, { headers: READER }))).toBe('INVALID_FIELD');
});
