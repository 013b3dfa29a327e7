import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type OpenAiDialect, openAiRequest } from './openai-request.ts';

const ALL = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenPrompts: true,
  continuesText: true,
  continuesChat: true,
});
const dialect = (more: Partial<OpenAiDialect>): OpenAiDialect => ({
  engine: 'e',
  capabilities: ALL,
  continuousUsage: false,
  ...more,
});
const parts = (value: string) => [{ part: { case: 'text' as const, value } }];
const CHAT = { input: { case: 'chat' as const, value: { messages: [{ role: Role.USER, parts: parts('hi') }] } } };
const TEXT = { input: { case: 'text' as const, value: 'once' } };
const IDS = { input: { case: 'tokenIds' as const, value: { ids: [1] } } };

function body(prompt: MessageInitShape<typeof GenerateRequestSchema>['prompt'], more: Partial<OpenAiDialect>) {
  const continuation = { text: ' upon', tokenIds: [7, 8] };
  return openAiRequest(create(GenerateRequestSchema, { prompt, continuation } as never), 'up', dialect(more)).body;
}

test('the start of an answer to a text is a part of the text', () => {
  expect(body(TEXT, {})).toMatchObject({ prompt: 'once upon' });
});

test('the start of an answer in a conversation is its last message, flagged where the server wants it so', () => {
  const messages = [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: ' upon' },
  ];
  expect(body(CHAT, { chatContinuation: 'prefill' })).toMatchObject({ messages });
  expect(body(CHAT, { chatContinuation: 'prefill' })).not.toHaveProperty('continue_final_message');
  const flags = { add_generation_prompt: false, continue_final_message: true };
  expect(body(CHAT, { chatContinuation: 'flagged' })).toMatchObject({ messages, ...flags });
});

test('our own engine is told the tokens, whatever the prompt', () => {
  const able = { capabilities: { ...ALL, continuesTokens: true }, chatContinuation: 'fields' as const };
  for (const prompt of [CHAT, TEXT, IDS]) expect(body(prompt, able)).toMatchObject({ continue_token_ids: [7, 8] });
  expect(body(CHAT, able)).toMatchObject({ messages: [{ role: 'user', content: 'hi' }] });
});

test('an engine that cannot go on refuses', () => {
  const unable = create(EngineCapabilitiesSchema, { chat: true, tokenPrompts: true });
  for (const [prompt, capabilities] of [
    [TEXT, unable],
    [CHAT, unable],
    [CHAT, ALL],
    [IDS, ALL],
  ] as const) {
    expect(() => body(prompt, { capabilities })).toThrow("does not support 'continuation'");
  }
});

test('no caller can begin an answer by an engine option', () => {
  const request = create(GenerateRequestSchema, { prompt: TEXT, engineOptions: { continue_text: 'x' } } as never);
  expect(() => openAiRequest(request, 'up', dialect({}))).toThrow('continue_text');
});
