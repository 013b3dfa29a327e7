import { expect, test } from 'vitest';
import { event, jsonEvents } from '../test-facade.ts';
import { chatChunks } from './chat-chunk.ts';

const head = { id: 'chatcmpl-1', model: 'a"b', created: 5 };

test('a plain stream, byte for byte', () => {
  const frames = chatChunks(head, false);
  const start =
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"a\\"b","choices":[{"index":0,';
  expect(frames(event('started', { requestId: '1' }))).toBe('');
  expect(frames(event('delta', { text: 'é"\n' }))).toBe(
    `${start}"delta":{"role":"assistant","content":"é\\"\\n"},"finish_reason":null}]}\n\n`,
  );
  expect(frames(event('delta', { text: 'x' }))).toBe(`${start}"delta":{"content":"x"},"finish_reason":null}]}\n\n`);
  expect(frames(event('delta', { completionTokens: 3 }))).toBe('');
  expect(frames(event('resumed', { attempt: 2 }))).toBe('');
  expect(frames(event('finished', { reason: 2 }))).toBe(`${start}"delta":{},"finish_reason":"length"}]}\n\n`);
  expect(frames(event('usage', { promptTokens: 1 }))).toBe('');
});

test('with include_usage every chunk has usage, and only the last one, without choices, has figures', () => {
  const frames = chatChunks(head, true);
  const text =
    frames(event('delta', { text: 'x' })) +
    frames(event('finished', { reason: 1 })) +
    frames(event('usage', { promptTokens: 3, completionTokens: 2, cachedTokens: 1, reasoningTokens: 1 }));
  expect(jsonEvents(text)).toMatchObject([
    { usage: null },
    { usage: null, choices: [{ finish_reason: 'stop' }] },
    {
      choices: [],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 2,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 1 },
        completion_tokens_details: { reasoning_tokens: 1 },
      },
    },
  ]);
});

test('every choice begins with the role, also one without text', () => {
  const frames = chatChunks(head, false);
  const text =
    frames(event('delta', { choice: 1, text: 'a' })) +
    frames(event('delta', { choice: 1, text: 'b' })) +
    frames(event('finished', { choice: 0, reason: 1 }));
  expect(jsonEvents(text)).toMatchObject([
    { choices: [{ index: 1, delta: { role: 'assistant', content: 'a' } }] },
    { choices: [{ index: 1, delta: { content: 'b' } }] },
    { choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: 'stop' }] },
  ]);
});

test('tool calls: id, type and name in the first fragment only', () => {
  const frames = chatChunks(head, false);
  const text =
    frames(event('delta', { toolCalls: [{ index: 0, id: 'c1', name: 'f', arguments: '{"a"' }] })) +
    frames(event('delta', { toolCalls: [{ index: 0, arguments: ':1}' }] })) +
    frames(event('finished', { reason: 3 }));
  expect(jsonEvents(text)).toMatchObject([
    {
      choices: [
        {
          delta: {
            role: 'assistant',
            tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a"' } }],
          },
        },
      ],
    },
    { choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] } }] },
    { choices: [{ finish_reason: 'tool_calls' }] },
  ]);
  expect(text.match(/"type":"function"/g)).toHaveLength(1);
});

test('reasoning, log-probabilities and token ids', () => {
  const frames = chatChunks(head, false);
  const text =
    frames(event('delta', { reasoning: 'hm' })) +
    frames(
      event('delta', {
        text: 'é',
        tokenIds: [9],
        logprobs: [
          {
            token: 'é',
            logprob: -0.5,
            bytes: new Uint8Array([195, 169]),
            top: [{ token: 'x', logprob: Number.NEGATIVE_INFINITY }],
          },
        ],
      }),
    );
  expect(jsonEvents(text)).toMatchObject([
    { choices: [{ delta: { role: 'assistant', reasoning_content: 'hm' } }] },
    {
      choices: [
        {
          delta: { content: 'é' },
          token_ids: [9],
          logprobs: {
            refusal: null,
            content: [
              {
                token: 'é',
                logprob: -0.5,
                bytes: [195, 169],
                top_logprobs: [{ token: 'x', logprob: -9999, bytes: null }],
              },
            ],
          },
        },
      ],
    },
  ]);
});
