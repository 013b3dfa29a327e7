import { create, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { ChatSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { besidesBound, isTextOnly, promptBound, promptBounds } from './prompt-bound.ts';

type Init = MessageInitShape<typeof GenerateRequestSchema>;
const bound = (init: Init) => promptBound(create(GenerateRequestSchema, init));
const text = (value: string): Init => ({ prompt: { input: { case: 'text', value } } });
const chat = (...parts: object[]): Init => message({ parts: parts.map((part) => ({ part })) });
const message = (more: object): Init => ({
  prompt: { input: { case: 'chat', value: create(ChatSchema, { messages: [{ role: Role.USER, ...more }] }) } },
});

test('a text has no more tokens than bytes, whatever normal form its tokenizer brings it into', () => {
  const anyText = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(anyText, (value) => {
      for (const form of [value, ...['NFC', 'NFD', 'NFKC', 'NFKD'].map((name) => value.normalize(name))]) {
        expect(bound(text(value))).toBeGreaterThanOrEqual(Buffer.byteLength(form));
      }
    }),
  );
  // One character of three bytes that is eighteen in the compatibility forms.
  expect(bound(text('\ufdfa'))).toBeGreaterThan(30);
  // Letters that the compatibility form makes shorter, beside syllables that both forms make longer.
  const mixed = '\u{1d400}\uac01'.repeat(20);
  expect(bound(text(mixed))).toBeGreaterThanOrEqual(Buffer.byteLength(mixed.normalize('NFD')));
  expect(bound(text('a'.repeat(1_000)))).toBe(1_004);
});

test('token ids are counted, not measured', () => {
  expect(bound({ prompt: { input: { case: 'tokenIds', value: { ids: [1, 2, 3] } } } })).toBe(7);
});

test('every part of a conversation counts', () => {
  const bare = bound(chat());
  expect(bound(chat({ case: 'text', value: 'four' }))).toBe(bare + 4);
  expect(bound(chat({ case: 'refusal', value: 'four' }))).toBe(bare + 4);
  expect(bound(chat({ case: 'imageUrl', value: 'data:,' }))).toBe(bare + 16_384);
  expect(bound(chat({ case: 'inputAudio', value: { data: new Uint8Array(9), format: 'wav' } }))).toBe(bare + 1_509);
  const called = { toolCalls: [{ id: 'i', name: 'f', arguments: '{}' }], toolCallId: 'ab', name: 'n' };
  expect(bound(message(called))).toBe(bare + 32 + 1 + 1 + 4 + 2 + 1);
});

test('tools and template options count by their JSON', () => {
  const tools = [{ name: 'f', description: 'does', parameters: { a: 1 } }];
  const more = besidesBound(create(GenerateRequestSchema, { tools }));
  expect(more).toBeGreaterThan(512 + 5);
  const prompt = { input: { case: 'text' as const, value: 'a' } };
  expect(bound({ prompt, tools })).toBe(bound({ prompt }) + more);
  const value = create(ChatSchema, { messages: [{ role: Role.USER }], templateOptions: { enable_thinking: false } });
  expect(bound({ prompt: { input: { case: 'chat', value } } })).toBeGreaterThan(bound(chat()) + 20);
});

test('what an engine may write into the prompt for its options and a schema counts', () => {
  const prompt = { input: { case: 'text' as const, value: 'a' } };
  const long = 'x'.repeat(5_000);
  const schema = { name: 'answer', schema: { description: long } };
  expect(bound({ prompt, engineOptions: { suffix: long } })).toBeGreaterThan(5_000);
  expect(bound({ prompt, responseFormat: { format: { case: 'jsonSchema', value: schema } } })).toBeGreaterThan(5_000);
});

test('a tokenizer can count what is text only', () => {
  const isText = (init: Init) => isTextOnly(create(GenerateRequestSchema, init));
  expect(isText(text('a'))).toBe(true);
  expect(isText(chat({ case: 'text', value: 'a' }, { case: 'refusal', value: 'b' }))).toBe(true);
  expect(isText(chat({ case: 'text', value: 'a' }, { case: 'imageUrl', value: 'data:,' }))).toBe(false);
});

test('each of several prompts is bounded with all that is written into it', () => {
  const text = (value: string) => ({ input: { case: 'text' as const, value } });
  const tools = [{ name: 'f' }];
  const request = create(GenerateRequestSchema, { prompt: text('a'), morePrompts: [text('abc')], tools });
  expect(promptBounds(request)).toEqual([bound({ prompt: text('a'), tools }), bound({ prompt: text('abc'), tools })]);
});
