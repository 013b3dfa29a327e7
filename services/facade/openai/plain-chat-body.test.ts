import { expect, test } from 'vitest';
import { chatBodySchema } from './chat-schema.ts';
import { isPlainChatBody } from './plain-chat-body.ts';

const user = { role: 'user', content: 'hi' };
const plain = { model: 'm', messages: [user] };
const many = (count: number) => Array.from({ length: count }, () => user);

test.each<[string, object]>([
  ['the least', plain],
  [
    'what clients send',
    {
      ...plain,
      max_tokens: 64,
      temperature: 0.7,
      top_p: 1,
      seed: -3,
      stream: true,
      stream_options: { include_usage: true },
    },
  ],
  [
    'every role that says a text',
    { ...plain, messages: ['system', 'developer', 'user', 'assistant'].map((role) => ({ role, content: '' })) },
  ],
  ['a newer name', { ...plain, max_completion_tokens: 1, stream: false, stream_options: { include_usage: false } }],
  [
    'the largest',
    { model: 'x'.repeat(512), messages: many(2048), max_tokens: Number.MAX_SAFE_INTEGER, temperature: 2 },
  ],
  [
    'the smallest',
    { model: '', messages: [user], max_tokens: 1, temperature: 0, top_p: 0, seed: Number.MIN_SAFE_INTEGER },
  ],
])('%s is accepted by the schema too, which leaves it as it is', (_name, body) => {
  expect(isPlainChatBody(body)).toBe(true);
  expect(chatBodySchema.parse(body)).toStrictEqual(body);
});

const message = (fields: object) => ({ ...plain, messages: [{ ...user, ...fields }] });

test.each<[string, unknown]>([
  ['no model', { messages: [user] }],
  ['no model, said so', { ...plain, model: null }],
  ['a long name', { ...plain, model: 'x'.repeat(513) }],
  ['no messages', { model: 'm' }],
  ['an empty conversation', { ...plain, messages: [] }],
  ['too many messages', { ...plain, messages: many(2049) }],
  ['an unknown role', message({ role: 'robot' })],
  ['the answer of a tool', message({ role: 'tool' })],
  ['parts', message({ content: [{ type: 'text', text: 'hi' }] })],
  ['no content', message({ content: null })],
  ['a named author', message({ name: 'ann' })],
  ['what comes back from an earlier answer', message({ annotations: [] })],
  ['a message that is none', { ...plain, messages: [null] }],
  ['tokens of a fraction', { ...plain, max_tokens: 1.5 }],
  ['no tokens', { ...plain, max_tokens: 0 }],
  ['tokens beyond a safe number', { ...plain, max_tokens: 2 ** 53 }],
  ['tokens as text', { ...plain, max_tokens: '5' }],
  ['too hot', { ...plain, temperature: 2.1 }],
  ['too cold', { ...plain, temperature: -0.1 }],
  ['a share above one', { ...plain, top_p: 1.1 }],
  ['a seed of a fraction', { ...plain, seed: 0.5 }],
  ['null', { ...plain, temperature: null }],
  ['a stream as text', { ...plain, stream: 'true' }],
  ['options of a stream that are not known', { ...plain, stream_options: { include_usage: true, more: 1 } }],
  ['no options of a stream', { ...plain, stream_options: {} }],
  ['a field of the schema that is rare', { ...plain, n: 2 }],
  ['a field for the engine', { ...plain, guided_regex: 'a+' }],
  ['a name that every object has', { ...plain, constructor: 1 }],
  ['a list', [plain]],
  ['nothing', null],
])('%s is left to the schema', (_name, body) => {
  expect(isPlainChatBody(body)).toBe(false);
});
