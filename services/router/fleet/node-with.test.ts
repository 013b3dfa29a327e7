import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { NodeSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { isHere, nodeWith } from './node-with.ts';

const { READY, STARTING, SLEEPING, STOPPED, PENDING, QUARANTINED } = EngineState;
const node = (name: string, engine: string, state: EngineState, modelId = '') =>
  create(NodeSchema, { node: name, engines: [{ name: engine, modelId, state }] });

test.each<[string, ReturnType<typeof node>[], string | undefined]>([
  ['loaded before loading', [node('a', 'm', STARTING), node('b', 'm', READY)], 'b'],
  ['loading before configured', [node('a', 'm', STOPPED), node('b', 'm', STARTING)], 'b'],
  ['asleep before gone', [node('a', 'm', PENDING), node('b', 'm', SLEEPING)], 'b'],
  ['configured before given up', [node('a', 'm', QUARANTINED), node('b', 'm', STOPPED)], 'b'],
  ['the first of those alike', [node('a', 'm', STOPPED), node('b', 'm', STOPPED)], 'a'],
  ['a name before an id', [node('a', 'x', READY, 'm'), node('b', 'm', STOPPED)], 'b'],
  ['an id where no name is', [node('a', 'x', STOPPED), node('b', 'y', STOPPED, 'm')], 'b'],
  ['nobody', [node('a', 'x', READY)], undefined],
])('%s', (_what, nodes, expected) => {
  expect(nodeWith('m', nodes)?.node).toBe(expected);
});

test('a server elsewhere and what was never loaded are not on our devices', () => {
  const engine = (state: EngineState, deviceKind = 'cuda') => create(EngineSchema, { state, deviceKind });
  expect([READY, STARTING, SLEEPING, QUARANTINED].every((state) => isHere(engine(state)))).toBe(true);
  expect([PENDING, STOPPED].some((state) => isHere(engine(state)))).toBe(false);
  expect(isHere(engine(READY, 'remote'))).toBe(false);
});
