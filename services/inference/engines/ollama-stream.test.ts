import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type GenerationEvent, StartedSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { OllamaStream } from './ollama-stream.ts';

const started = create(StartedSchema, { requestId: 'r1', engine: 'e' });

function read(lines: readonly unknown[], pieceBytes = 1_000): { events: readonly GenerationEvent[]; error?: unknown } {
  const stream = new OllamaStream(started);
  const bytes = Buffer.from(lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) stream.push(bytes.subarray(at, at + pieceBytes));
    stream.close();
  } catch (error) {
    return { events: stream.take(), error };
  }
  return { events: stream.take() };
}

const values = (events: readonly GenerationEvent[]) => events.map(({ event }) => event.value);
const done = { done: true, done_reason: 'stop', prompt_eval_count: 4, eval_count: 3, eval_duration: 5e8 };

test.each([1, 3, 1_000])('text, reasoning and the bill, in pieces of %i bytes', (pieceBytes) => {
  const lines = [
    { message: { content: '', thinking: 'hm' }, done: false },
    { message: { content: 'ä ' }, done: false },
    { message: { content: '€' }, done: false },
    { message: { content: '' }, ...done, prompt_eval_duration: 25e7 },
  ];
  const { events, error } = read(lines, pieceBytes);
  expect(error).toBeUndefined();
  expect(values(events)).toMatchObject([
    { requestId: 'r1' },
    { text: 'ä €', reasoning: 'hm', completionTokens: 3, promptTokens: 4 },
    { choice: 0, reason: 1 },
    { promptTokens: 4, completionTokens: 3, prefillSeconds: 0.25, decodeSeconds: 0.5 },
  ]);
});

test('log-probabilities count the tokens of a line', () => {
  const logprobs = [
    { token: 'a', logprob: -0.5, bytes: [97], top_logprobs: [{ token: 'b', logprob: -1 }] },
    { token: 'b', logprob: -0.25 },
  ];
  const { events } = read([
    { response: 'ab', logprobs, done: false },
    { response: '', done: true, done_reason: 'length' },
  ]);
  expect(values(events)).toMatchObject([
    {},
    {
      text: 'ab',
      completionTokens: 2,
      logprobs: [
        { token: 'a', logprob: -0.5, bytes: new Uint8Array([97]), top: [{ token: 'b', logprob: -1 }] },
        { token: 'b', logprob: -0.25 },
      ],
    },
    { reason: 2 },
    { completionTokens: 2 },
  ]);
});

test('every tool call has an index and an id of its own', () => {
  const call = (name: string, id?: string) => ({ id, function: { index: 0, name, arguments: { a: name } } });
  const { events } = read([
    { message: { tool_calls: [call('f', 'call_x')] }, done: false },
    { message: { tool_calls: [call('g')] }, done: false },
    { message: { content: '' }, ...done },
  ]);
  expect(values(events)).toMatchObject([
    {},
    {
      toolCalls: [
        { index: 0, id: 'call_x', name: 'f', arguments: '{"a":"f"}' },
        { index: 1, id: 'call_r1_1', name: 'g', arguments: '{"a":"g"}' },
      ],
    },
    { reason: 3 },
    {},
  ]);
});

test('what was cut off is lost, with what came before', () => {
  const { events, error } = read([{ response: 'a', done: false }]);
  expect(error).toMatchObject({ reason: 'ENGINE_LOST', metadata: { tokens_delivered: '1' } });
  expect(values(events)).toMatchObject([{}, { text: 'a' }]);
});

test.each([
  ['an error', { error: 'CUDA error at /secret/path' }],
  ['no JSON', '{"response": nonsense'],
  ['no object', 'null'],
])('%s in mid-stream is a failure that tells nothing', (_name, line) => {
  const { events, error } = read([{ response: 'a', done: false }, line]);
  expect(error).toMatchObject({ reason: 'ENGINE_FAILED', message: 'The engine failed.' });
  expect(values(events)).toMatchObject([{}, { text: 'a' }]);
});

test('what follows the end is not read', () => {
  const { events, error } = read([{ response: 'a', ...done }, 'garbage']);
  expect(error).toBeUndefined();
  expect(events).toHaveLength(4);
});
