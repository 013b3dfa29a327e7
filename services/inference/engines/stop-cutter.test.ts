import { expect, test } from 'vitest';
import { FinishReason, type GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { OpenAiStream } from './openai-stream.ts';
import { StopCutter } from './stop-cutter.ts';
import { TgiStream } from './tgi-stream.ts';

const started = {
  $typeName: 'mesh.generation.v1.Started' as const,
  requestId: 'r',
  model: 'm',
  modelId: 'm',
  engine: 'chat',
  limits: [],
};

/** What leaves the cutter when each text comes in a read of its own; with `details`, the last one ends the answer. */
function run(texts: readonly string[], stops: readonly string[], reason?: string) {
  const cutter = new StopCutter(new TgiStream(started, { tokenIds: true, logprobs: false }), stops);
  const events: GenerationEvent[] = [];
  texts.forEach((text, index) => {
    const last = reason !== undefined && index === texts.length - 1;
    const details = last ? { finish_reason: reason, generated_tokens: texts.length, input_length: 3 } : null;
    const token = { id: index, text, logprob: -1, special: false };
    cutter.push(Buffer.from(`data:${JSON.stringify({ index, token, generated_text: null, details })}\n\n`));
    events.push(...cutter.take());
  });
  const deltas = events.flatMap(({ event }) => (event.case === 'delta' ? [event.value] : []));
  return {
    cutter,
    kinds: events.map(({ event }) => event.case),
    texts: deltas.map((delta) => delta.text),
    tokenIds: deltas.flatMap((delta) => delta.tokenIds),
    finished: events.flatMap(({ event }) => (event.case === 'finished' ? [event.value] : []))[0],
    usage: events.flatMap(({ event }) => (event.case === 'usage' ? [event.value] : []))[0],
  };
}

test('a stop text at the end of a token is cut off, the tokens and the bill stay', () => {
  const { texts, tokenIds, finished, usage, cutter } = run(['one', ' two', ' E', 'ND'], ['END'], 'stop_sequence');
  expect(texts.join('')).toBe('one two ');
  expect(tokenIds).toEqual([0, 1, 2, 3]);
  expect(finished).toMatchObject({ reason: FinishReason.STOP, matchedStop: 'END' });
  expect(usage).toMatchObject({ promptTokens: 3, completionTokens: 4 });
  expect(cutter.leftRunning).toBe(false);
});

test('a stop text within a token ends the answer, although the engine goes on', () => {
  const { texts, finished, usage, cutter } = run(['one', ' a.b', ' more'], ['.']);
  expect(texts.join('')).toBe('one a');
  expect(finished).toMatchObject({ reason: FinishReason.STOP, matchedStop: '.' });
  expect(usage).toMatchObject({ completionTokens: 2 });
  expect(cutter.leftRunning).toBe(true);
});

test('what may be the start of a stop text is held back as whole deltas, and let go when it is none', () => {
  const { texts, kinds } = run(['ab', 'c E', 'N', ' d', 'E'], ['END'], 'length');
  expect(texts).toEqual(['ab', 'c E', 'N', ' d', 'E']);
  expect(kinds).toEqual(['started', 'delta', 'delta', 'delta', 'delta', 'delta', 'finished', 'usage']);
});

test('an answer without a stop text ends as the engine says', () => {
  const { finished, texts } = run(['a', 'b'], ['zz'], 'length');
  expect(finished).toMatchObject({ reason: FinishReason.LENGTH });
  expect(finished?.matchedStop).toBeUndefined();
  expect(texts.join('')).toBe('ab');
});

test('an engine that ends at stop texts by itself is waited for: its bill comes in a later read', () => {
  const cutter = new StopCutter(new OpenAiStream(started, 1), ['END'], true);
  const say = (fields: object) => cutter.push(Buffer.from(`data: ${JSON.stringify(fields)}\n\n`));
  say({ choices: [{ index: 0, text: 'one END' }] });
  const first = cutter.take();
  expect(first.map(({ event }) => event.case)).toEqual(['started', 'delta', 'finished']);
  expect(cutter.complete).toBe(false);
  say({ choices: [{ index: 0, text: '', finish_reason: 'stop' }], usage: { prompt_tokens: 7, completion_tokens: 2 } });
  cutter.close();
  expect(cutter.take()[0]?.event).toMatchObject({ case: 'usage', value: { promptTokens: 7, completionTokens: 2 } });
  expect(cutter.complete).toBe(true);
});

test('an engine that goes on is billed for the prompt that it told with its tokens', () => {
  const cutter = new StopCutter(new OpenAiStream(started, 1), ['END']);
  const chunk = { choices: [{ index: 0, text: 'xEND' }], usage: { prompt_tokens: 5, completion_tokens: 2 } };
  cutter.push(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
  const [usage] = cutter.take().flatMap(({ event }) => (event.case === 'usage' ? [event.value] : []));
  expect(usage).toMatchObject({ promptTokens: 5, completionTokens: 2 });
  expect(cutter.leftRunning).toBe(true);
});
