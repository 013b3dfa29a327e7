import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type GenerationEvent, GenerationEventSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { CountedSink } from './counted-sink.ts';
import { EngineLoad } from './supervisor/engine-load.ts';

const delta = (completionTokens: number): GenerationEvent =>
  create(GenerationEventSchema, { event: { case: 'delta', value: { completionTokens } } });
const sink = { event() {}, end() {}, fail() {} };
const flow = { paused: false } as never;

test('tokens of all generations of an engine are counted once each', () => {
  const load = new EngineLoad();
  const one = new CountedSink(load, flow, sink);
  const other = new CountedSink(load, flow, sink);
  for (const tokens of [1, 4]) one.event(delta(tokens));
  other.event(delta(2));
  // What the engine tells no sum with counts as none.
  other.event(delta(0));
  expect(load.completionTokens).toBe(6);
  one.end();
  expect([load.completionTokens, load.running]).toEqual([6, 1]);
});
