import { setImmediate as turn } from 'node:timers/promises';
import { diag, ROOT_CONTEXT, type SpanContext } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { NO_CONTEXT } from './otel-context.ts';
import { createOtelTracer } from './otel-tracer.ts';
import type { Span, Tracer } from './tracer.ts';

interface Ended {
  readonly name: string;
  readonly attributes: Record<string, unknown>;
  readonly parentSpanContext?: SpanContext;
  spanContext(): SpanContext;
}

const ended: Ended[] = [];
/** What the SDK complains of: each complaint makes an error with a stack. */
const complaints: string[] = [];
let sdk: NodeSDK;
let tracer: Tracer;

beforeAll(() => {
  const keep = {
    onStart() {},
    onEnd: (span: Ended) => void ended.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  sdk = new NodeSDK({ spanProcessors: [keep], resourceDetectors: [], metricReaders: [], logRecordProcessors: [] });
  sdk.start();
  const complain = (text: string): void => void complaints.push(text);
  diag.setLogger({ error: complain, warn: complain, info() {}, debug() {}, verbose() {} });
  tracer = createOtelTracer('1', false);
});
afterAll(async () => {
  diag.disable();
  await sdk.shutdown();
});
afterEach(() => {
  ended.length = 0;
});

const begin = (name: string, parent: Parameters<Tracer['begin']>[1]['parent']): Span =>
  tracer.begin(name, { kind: 'internal', parent, attributes: { name, nothing: undefined } });

test('parts of a span here are parts of itself, those of headers of a caller are of something elsewhere', () => {
  const caller = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1', baggage: 'x=1' };
  const whole = begin('whole', caller);
  const part = begin('part', whole.headers);
  const copied = begin('copied', { ...whole.headers });
  for (const span of [copied, part, whole]) span.end();
  expect([whole.traceId, part.traceId]).toEqual(['a'.repeat(32), 'a'.repeat(32)]);
  expect(part.headers).toMatchObject({ tracestate: 'vendor=1', baggage: 'x=1' });
  expect(part.headers?.traceparent).toBe(`00-${'a'.repeat(32)}-${ended[1]?.spanContext().spanId}-01`);
  expect(ended.map(({ name, attributes, parentSpanContext: parent }) => [name, attributes, parent?.isRemote])).toEqual([
    ['copied', { name: 'copied' }, true],
    ['part', { name: 'part' }, undefined],
    ['whole', { name: 'whole' }, true],
  ]);
  expect(ended[1]?.parentSpanContext?.spanId).toBe(ended[2]?.spanContext().spanId);
});

test('parts of what is not recorded are not begun, and carry its trace on', () => {
  const whole = begin('whole', { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00` });
  const part = begin('part', whole.headers);
  expect([whole.isRecorded, part.isRecorded]).toEqual([false, false]);
  expect(part.headers).toBe(whole.headers);
  expect(whole.headers?.traceparent).toMatch(/^00-a{32}-[0-9a-f]{16}-00$/);
  part.within(() => {
    expect(tracer.hasActive).toBe(false);
    expect(tracer.activeTraceId).toBe('a'.repeat(32));
  });
  part.set({ more: 1 });
  part.end();
  expect(ended).toEqual([]);
});

test('what a span is active in lasts until it ends, and longer only where it was captured', async () => {
  const span = begin('span', undefined);
  const late = span.within(() => tracer.capture());
  await span.within(async () => {
    await turn();
    expect(tracer.activeHeaders).toEqual({ ...span.headers });
    tracer.outside(() => expect(tracer.hasActive).toBe(false));
    span.end();
    expect(tracer.hasActive).toBe(false);
  });
  // A part of what was captured is no captured one itself.
  const part = late(() => begin('part', tracer.activeHeaders));
  part.within(() => {
    expect(tracer.hasActive).toBe(true);
    part.end();
    expect(tracer.hasActive).toBe(false);
  });
  span.set({ late: true });
  span.fail('LATE');
  span.event('late');
  span.end();
  expect(ended.map(({ name, attributes }) => [name, attributes])).toEqual([
    ['span', { name: 'span' }],
    ['part', { name: 'part' }],
  ]);
  expect(complaints).toEqual([]);
});

test('a context has no members of its own, which V8 makes old: only what was put into it', () => {
  const [one, other] = [Symbol('one'), Symbol('other')];
  const both = NO_CONTEXT.setValue(one, 1).setValue(other, 2).setValue(one, 3);
  expect([both.getValue(one), both.getValue(other)]).toEqual([3, 2]);
  const left = both.deleteValue(other);
  expect([left.getValue(one), left.getValue(other), both.getValue(other)]).toEqual([3, undefined, 2]);
  expect(Object.keys(both)).toEqual([]);
  expect(Object.keys(ROOT_CONTEXT.setValue(one, 1))).toContain('setValue');
});
