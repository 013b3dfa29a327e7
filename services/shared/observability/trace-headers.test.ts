import { expect, test } from 'vitest';
import { traceHeadersOf, traceIdOf } from './trace-headers.ts';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const of = (headers: Record<string, string>, names?: readonly string[]) =>
  traceHeadersOf({ get: (name) => headers[name] }, names);

test('the headers of a trace are those that say where it goes on, and nothing without the first', () => {
  const headers = { traceparent: PARENT, tracestate: 'a=1', baggage: 'b=2', authorization: 'Bearer x' };
  expect(of(headers)).toEqual({ traceparent: PARENT, tracestate: 'a=1', baggage: 'b=2' });
  expect(of({ tracestate: 'a=1', baggage: 'b=2' })).toBeUndefined();
  expect(of({ b3: '1-2', baggage: 'b=2' }, ['b3'])).toEqual({ b3: '1-2' });
});

test('what is longer than W3C lets be is not handed on', () => {
  expect(of({ traceparent: PARENT, baggage: `b=${'x'.repeat(8_192)}` })).toEqual({ traceparent: PARENT });
});

test('log lines get the id of the trace, and none of what is no trace', () => {
  expect(traceIdOf({ traceparent: PARENT })).toBe('0af7651916cd43dd8448eb211c80319c');
  for (const traceparent of ['x', '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01', '']) {
    expect(traceIdOf({ traceparent })).toBeUndefined();
  }
  expect(traceIdOf(undefined)).toBeUndefined();
});
