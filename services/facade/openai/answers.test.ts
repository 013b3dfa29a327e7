import { expect, test } from 'vitest';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { event, jsonEvents } from '../test-facade.ts';
import { chatAnswer } from './chat-answer.ts';
import { type Collector, createCollector } from './collector.ts';
import { completionAnswer, completionChunks } from './completion.ts';

const head = { id: 'x-1', model: 'tiny', created: 5 };

function collect(...events: GenerationEvent[]): Collector {
  const collector = createCollector();
  for (const one of events) collector.add(one);
  return collector;
}

test('a chat answer with two choices, put together from interleaved deltas', () => {
  const collected = collect(
    event('delta', { choice: 1, text: 'b' }),
    event('delta', { choice: 0, text: 'a', reasoning: 'r' }),
    event('delta', { choice: 1, text: 'c' }),
    event('finished', { choice: 1, reason: 2 }),
    event('finished', { choice: 0, reason: 1 }),
    event('usage', { promptTokens: 4, completionTokens: 3 }),
  );
  expect(JSON.parse(chatAnswer(head, collected))).toEqual({
    id: 'x-1',
    object: 'chat.completion',
    created: 5,
    model: 'tiny',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'a', refusal: null, reasoning_content: 'r' },
        logprobs: null,
        finish_reason: 'stop',
      },
      {
        index: 1,
        message: { role: 'assistant', content: 'bc', refusal: null },
        logprobs: null,
        finish_reason: 'length',
      },
    ],
    usage: {
      prompt_tokens: 4,
      completion_tokens: 3,
      total_tokens: 7,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    },
  });
});

test('tool calls are put together; without text the content is null', () => {
  const collected = collect(
    event('delta', { toolCalls: [{ index: 1, id: 'c2', name: 'g', arguments: '{}' }] }),
    event('delta', { toolCalls: [{ index: 0, id: 'c1', name: 'f', arguments: '{"a":' }] }),
    event('delta', { toolCalls: [{ index: 0, arguments: '1}' }] }),
    event('finished', { reason: 3 }),
  );
  const { message, finish_reason } = JSON.parse(chatAnswer(head, collected)).choices[0];
  expect(finish_reason).toBe('tool_calls');
  expect(message).toEqual({
    role: 'assistant',
    content: null,
    refusal: null,
    tool_calls: [
      { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
      { id: 'c2', type: 'function', function: { name: 'g', arguments: '{}' } },
    ],
  });
});

const tokens = [
  { token: ' a', logprob: -1, top: [{ token: ' b', logprob: -2 }] },
  { token: 'bc', logprob: -3 },
];

test('a text completion counts offsets from the beginning of its text, the echoed prompt included', () => {
  const collected = collect(
    event('delta', { text: 'Once' }),
    event('delta', { text: ' abc', logprobs: tokens }),
    event('finished', { reason: 1 }),
  );
  expect(JSON.parse(completionAnswer(head, collected)).choices).toEqual([
    {
      index: 0,
      text: 'Once abc',
      finish_reason: 'stop',
      logprobs: {
        tokens: [' a', 'bc'],
        token_logprobs: [-1, -3],
        top_logprobs: [{ ' b': -2 }, {}],
        text_offset: [4, 6],
      },
    },
  ]);
});

test('a text completion streams the same', () => {
  const frames = completionChunks(head, true);
  const text =
    frames(event('delta', { text: 'Once' })) +
    frames(event('delta', { text: ' abc', logprobs: tokens })) +
    frames(event('delta', { completionTokens: 9 })) +
    frames(event('finished', { reason: 1 })) +
    frames(event('usage', { promptTokens: 1, completionTokens: 2 }));
  expect(jsonEvents(text)).toMatchObject([
    { object: 'text_completion', choices: [{ index: 0, text: 'Once', finish_reason: null }], usage: null },
    { choices: [{ text: ' abc', logprobs: { text_offset: [4, 6] } }] },
    { choices: [{ text: '', finish_reason: 'stop' }] },
    { choices: [], usage: { total_tokens: 3 } },
  ]);
});
