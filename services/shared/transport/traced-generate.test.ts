import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { recordSpans } from '../observability/tracer.fixture.ts';
import { tracer } from '../observability/tracer.ts';
import { FlowControl } from './flow-control.ts';
import type { Generate, GenerationCall, GenerationSink } from './generate.ts';
import { type GenerationSpan, tracedGenerate } from './traced-generate.ts';

const request = create(GenerateRequestSchema, { model: 'm' });
const delta = create(GenerationEventSchema, { event: { case: 'delta', value: { text: 'x' } } });
const usage = create(GenerationEventSchema, { event: { case: 'usage', value: { promptTokens: 3 } } });
const callOf = (trace?: Record<string, string>): GenerationCall => ({
  ...{ requestId: 'r', signal: new AbortController().signal, flow: new FlowControl(), trace },
});
const noted: string[] = [];
const SAYS: GenerationSpan = {
  kind: 'internal',
  name: ({ model }) => `generate ${model}`,
  attributes: (_request, { requestId }) => ({ id: requestId }),
  notes: () => ({ readsDeltas: false, event: ({ event }) => void noted.push(String(event.case)) }),
};

let restore = (): void => {};
afterEach(() => {
  restore();
  noted.length = 0;
});

function record(isSampled?: boolean) {
  const recording = recordSpans(isSampled);
  restore = recording.restore;
  return recording.spans;
}

function sink() {
  const seen: unknown[] = [];
  const to: GenerationSink = {
    event: (event: GenerationEvent) => void seen.push(event),
    end: () => void seen.push('end'),
    fail: (error) => void seen.push(error),
  };
  return { ...to, seen };
}

test('a generation is a span of its trace, and what it asks for is below it', () => {
  const spans = record();
  let below: GenerationCall | undefined;
  let engine: GenerationSink | undefined;
  const inner: Generate = (_request, call, to) => {
    below = call;
    engine = to;
    tracer().begin('asked', { kind: 'client', parent: 'active' });
  };
  const parent = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };
  const to = sink();
  tracedGenerate(inner, SAYS)(request, callOf(parent), to);
  expect(spans[0]).toMatchObject({
    name: 'generate m',
    kind: 'internal',
    parent: 'b'.repeat(16),
    attributes: { id: 'r' },
  });
  expect(spans[1]).toMatchObject({ name: 'asked', parent: 'generate m' });
  expect(below?.trace?.traceparent).toContain('-0000000000000000-');
  engine?.event(delta);
  engine?.event(delta);
  engine?.event(usage);
  expect(spans[0]).toMatchObject({ events: ['gen_ai.first_token'], hasEnded: false });
  // Deltas are not looked at.
  expect(noted).toEqual(['usage']);
  engine?.end();
  expect(spans[0]).toMatchObject({ hasEnded: true, failedAs: undefined });
  expect(to.seen).toEqual([delta, delta, usage, 'end']);
});

test('its end is told in the span around it, in whoever’s turn it comes', () => {
  const spans = record();
  let engine: GenerationSink | undefined;
  const outer = tracer().begin('outer', { kind: 'server', parent: undefined });
  const to = { event() {}, end: () => void tracer().begin('bill', { kind: 'client', parent: 'active' }), fail() {} };
  outer.within(() => tracedGenerate((_request, _call, given) => (engine = given), SAYS)(request, callOf(), to));
  outer.end();
  engine?.end();
  expect(spans.find(({ name }) => name === 'bill')?.parent).toBe('outer');
});

test('what breaks it is told in one word', () => {
  const spans = record();
  const to = sink();
  const error = new MeshError('ENGINE_LOST', 'with a secret in it');
  tracedGenerate((_request, _call, given) => given.fail(error), SAYS)(request, callOf(), to);
  expect(spans[0]).toMatchObject({ failedAs: 'ENGINE_LOST', hasEnded: true });
  expect(JSON.stringify(spans)).not.toContain('secret');
  expect(to.seen).toEqual([error]);
});

test('one that is not recorded, and a process that records nothing, stand in nobody’s way', () => {
  const given: GenerationSink[] = [];
  const calls: GenerationCall[] = [];
  const inner: Generate = (_request, call, to) => {
    given.push(to);
    calls.push(call);
  };
  const to = sink();
  const call = callOf({ traceparent: 'as it came' });
  tracedGenerate(inner, SAYS)(request, call, to);
  expect(calls[0]).toBe(call);
  record(false);
  tracedGenerate(inner, SAYS)(request, call, to);
  expect(given).toEqual([to, to]);
  expect(calls[1]?.trace).not.toEqual(call.trace);
});
