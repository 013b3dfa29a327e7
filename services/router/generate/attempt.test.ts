import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import { Breakers } from '../fleet/breaker.ts';
import type { Place } from '../queue/places.ts';
import { Attempt } from './attempt.ts';

test('an engine that was out is back with the first token of the request that tries it', () => {
  let nowMs = 0;
  const breakers = new Breakers({ now: () => nowMs, onChange: () => undefined });
  for (let failure = 0; failure < 5; failure++) breakers.enter('a').failed();
  nowMs = 60_000;
  const told: (string | undefined)[] = [];
  const place = { candidate: { engine: { name: 'e' } }, leave: () => told.push('left') } as unknown as Place;
  const sink: GenerationSink = {
    event: ({ event }) => told.push(`${event.case}: ${breakers.stateOf('a')}`),
    end: () => told.push('end'),
    fail: ({ reason }) => told.push(reason),
  };
  const call = { requestId: 'r', flow: new FlowControl() };
  new Attempt({ place, trial: breakers.enter('a'), sink, call }).start((_request, _call, engine) => {
    engine.event(create(GenerationEventSchema, { event: { case: 'started', value: {} } }));
    for (let token = 0; token < 2; token++) {
      engine.event(create(GenerationEventSchema, { event: { case: 'delta', value: { text: 'a' } } }));
    }
    engine.end();
  }, create(GenerateRequestSchema));
  expect(told).toEqual(['started: half_open', 'delta: closed', 'delta: closed', 'left', 'end']);
});
