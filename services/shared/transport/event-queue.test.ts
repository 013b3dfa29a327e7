import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { createEventQueue } from './event-queue.ts';
import { FlowControl } from './flow-control.ts';

const delta = (characters: number) =>
  create(GenerationEventSchema, { event: { case: 'delta', value: { text: 'x'.repeat(characters) } } });

test.each([
  ['many small events', 1, 64],
  ['few large ones', 16 * 1024, 4],
])('%s that wait pause the source, and reading them lets it go on', async (_what, characters, enough) => {
  const flow = new FlowControl();
  const queue = createEventQueue(flow, () => {});
  for (let i = 1; i < enough; i += 1) queue.sink.event(delta(characters));
  expect(flow.paused).toBe(false);
  queue.sink.event(delta(characters));
  expect(flow.paused).toBe(true);
  for (let i = 0; i < enough; i += 1) await queue.next();
  expect(flow.paused).toBe(false);
});
