import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineLoadSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { EngineLoads } from './engine-loads.ts';

test('what is counted in is counted out once', () => {
  const loads = new EngineLoads();
  const first = loads.acquire('x', 100);
  loads.acquire('x', 30);
  first();
  first();
  expect(loads.of('x')).toMatchObject({ requests: 1, tokens: 30 });
});

test('of what a node reports its own requests are not counted twice', () => {
  const loads = new EngineLoads();
  loads.acquire('x', 100);
  loads.report('x', create(EngineLoadSchema, { running: 1 }));
  expect(loads.of('x').others).toBe(0);
  loads.report('x', create(EngineLoadSchema, { running: 3, waiting: 1, kvCacheUsed: 0.5 }));
  expect(loads.of('x')).toMatchObject({ requests: 1, others: 2, kvCacheUsed: 0.5 });
  // A server elsewhere has callers of its own in its queue.
  loads.report('x', create(EngineLoadSchema, { running: 1, waiting: 5 }));
  expect(loads.of('x').others).toBe(4);
  // The report was made before the node knew of the request.
  loads.report('x', create(EngineLoadSchema, {}));
  expect(loads.of('x').others).toBe(0);
});

test('an engine that nobody reports any more weighs what is still dispatched there', () => {
  const loads = new EngineLoads();
  loads.report('x', create(EngineLoadSchema, { running: 3, kvCacheUsed: 0.5 }));
  const release = loads.acquire('x', 100);
  loads.forget('x');
  expect(loads.of('x')).toMatchObject({ requests: 1, tokens: 100, others: 0, kvCacheUsed: 0 });
  release();
  expect(loads.of('x')).toMatchObject({ requests: 0, tokens: 0 });
});

test('a request of which only the number is known weighs as those of the last time', () => {
  const loads = new EngineLoads();
  for (let i = 0; i < 1_000; i += 1) loads.acquire('x', 5_000)();
  expect(loads.typicalTokens).toBeGreaterThan(4_900);
  expect(loads.typicalTokens).toBeLessThanOrEqual(5_000);
});
