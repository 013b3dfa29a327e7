import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema, ToolMode } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type ChatMessageSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { llamaCppEngine } from './llama-cpp.ts';
import type { LlamaCppEntry } from './llama-cpp-entry.ts';
import { modelEntrySchema } from './model-entry.ts';
import { type OpenAiDialect, openAiRequest } from './openai-request.ts';

const ABLE = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenPrompts: true,
  tokenIds: true,
  logprobs: true,
  choices: true,
  tools: true,
  json: true,
  images: true,
  logitBias: true,
});
const OPEN: OpenAiDialect = { engine: 'e', capabilities: ABLE, continuousUsage: false };
const NARROW: OpenAiDialect = {
  engine: 'e',
  capabilities: create(EngineCapabilitiesSchema, { chat: true }),
  fields: new Set(['model', 'messages', 'prompt', 'temperature']),
  continuousUsage: true,
};

type Init = MessageInitShape<typeof GenerateRequestSchema>;
const text = (value: string) => ({ part: { case: 'text' as const, value } });
const CHAT = { input: { case: 'chat' as const, value: { messages: [{ role: Role.USER, parts: [text('hi')] }] } } };
const TEXT = { input: { case: 'text' as const, value: 'once' } };

/** A conversation with this as its second message. */
function said(message: MessageInitShape<typeof ChatMessageSchema>): Init {
  return { prompt: { input: { case: 'chat', value: { messages: [{ parts: [text('hi')] }, message] } } } };
}

function body(init: Init, dialect = OPEN) {
  const prompt = init.prompt ?? CHAT;
  return openAiRequest(create(GenerateRequestSchema, { ...init, prompt } as Init), 'up', dialect).body;
}

test('what is unset is not sent, what is zero is', () => {
  expect(body({})).toEqual({
    model: 'up',
    messages: [{ role: 'user', content: 'hi' }],
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(body({ sampling: { temperature: 0, topK: 0, maxTokens: 1 } })).toMatchObject({
    temperature: 0,
    top_k: 0,
    max_tokens: 1,
  });
});

test('conversations keep roles, parts and tool calls', () => {
  const messages = [
    { role: Role.DEVELOPER, parts: [text('be brief')] },
    { role: Role.USER, name: 'ann', parts: [text('a'), { part: { case: 'imageUrl' as const, value: 'data:x' } }] },
    { role: Role.ASSISTANT, toolCalls: [{ id: 'c1', name: 'f', arguments: '{}' }] },
    { role: Role.TOOL, toolCallId: 'c1', parts: [text('42')] },
  ];
  expect(
    body({ prompt: { input: { case: 'chat', value: { messages, templateOptions: { thinking: false } } } } }),
  ).toMatchObject({
    messages: [
      { role: 'system', content: 'be brief' },
      {
        role: 'user',
        name: 'ann',
        content: [
          { type: 'text', text: 'a' },
          { type: 'image_url', image_url: { url: 'data:x' } },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: '42' },
    ],
    chat_template_kwargs: { thinking: false },
  });
});

test('completions have their own form of prompt and logprobs', () => {
  expect(body({ prompt: TEXT, sampling: { logprobs: true }, echoPrompt: true })).toMatchObject({
    prompt: 'once',
    logprobs: 0,
    echo: true,
  });
  expect(body({ prompt: { input: { case: 'tokenIds', value: { ids: [1, 2] } } } })).toMatchObject({ prompt: [1, 2] });
  expect(body({ sampling: { logprobs: true, topLogprobs: 3 } })).toMatchObject({ logprobs: true, top_logprobs: 3 });
});

test('a choice among no tools is left out, and a text without a limit may go on', () => {
  expect(body({ toolChoice: { choice: { case: 'mode', value: ToolMode.AUTO } } }, NARROW)).not.toHaveProperty(
    'tool_choice',
  );
  const unbounded = { ...OPEN, unboundedTokens: 99 };
  expect(body({ prompt: TEXT }, unbounded)).toMatchObject({ max_tokens: 99 });
  expect(body({ prompt: TEXT, sampling: { maxTokens: 5 } }, unbounded)).toMatchObject({ max_tokens: 5 });
  expect(body({}, unbounded)).not.toHaveProperty('max_tokens');
});

test('tools, formats and extras arrive in their upstream form', () => {
  const sent = body({
    tools: [{ name: 'f', description: 'does', parameters: { type: 'object' }, strict: true }],
    toolChoice: { choice: { case: 'mode', value: ToolMode.REQUIRED } },
    responseFormat: { format: { case: 'jsonSchema', value: { name: 's', schema: { type: 'object' } } } },
    engineOptions: { guided_regex: 'a' },
    sampling: { seed: 5n, stop: ['x'], choices: 2, logitBias: { 7: -1 }, returnTokenIds: true, ignoreEndOfTurn: true },
  });
  expect(sent).toMatchObject({
    tools: [
      { type: 'function', function: { name: 'f', description: 'does', parameters: { type: 'object' }, strict: true } },
    ],
    tool_choice: 'required',
    response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'object' } } },
    guided_regex: 'a',
    seed: 5,
    stop: ['x'],
    n: 2,
    logit_bias: { 7: -1 },
    return_token_ids: true,
    ignore_eos: true,
  });
  expect(JSON.parse(JSON.stringify(sent))).toEqual(sent);
});

test.each<[string, Init]>([
  ['tools', { tools: [{ name: 'f' }] }],
  ['response_format', { responseFormat: { format: { case: 'jsonObject', value: true } } }],
  ['logprobs', { sampling: { logprobs: true } }],
  ['logit_bias', { sampling: { logitBias: { 1: 1 } } }],
  ['n', { sampling: { choices: 2 } }],
  ['return_token_ids', { sampling: { returnTokenIds: true } }],
  ['prompt', { prompt: { input: { case: 'tokenIds', value: { ids: [1] } } } }],
  ['messages.1.content.1', said({ parts: [text('see'), { part: { case: 'imageUrl', value: 'x' } }] })],
  ['messages.1.content.0', said({ parts: [{ part: { case: 'inputAudio', value: { format: 'wav' } } }] })],
  ['messages.1.tool_calls', said({ role: Role.ASSISTANT, toolCalls: [{ id: 'c', name: 'f', arguments: '{}' }] })],
  ['messages.1.role', said({ role: Role.TOOL, toolCallId: 'c', parts: [text('42')] })],
  ['modalities', { engineOptions: { modalities: ['text', 'audio'] } }],
  ['functions', { engineOptions: { functions: [{ name: 'f' }] } }],
  ['best_of', { engineOptions: { best_of: 2 } }],
  ['min_tokens', { sampling: { minTokens: 1 } }],
  ['chat_template_kwargs', { engineOptions: { chat_template_kwargs: { thinking: false } } }],
  ['guided_regex', { engineOptions: { guided_regex: 'a' } }],
  ['min_p', { sampling: { minP: 0.1 } }],
  ['echo', { prompt: TEXT, echoPrompt: true }],
])('%s is refused by name where it cannot be honoured', (field, init) => {
  expect(() => body(init, NARROW)).toThrow(
    expect.objectContaining({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'e' } }),
  );
  expect(() => body(init, OPEN)).not.toThrow();
});

test('one choice is what everybody can; extras must not override our own fields', () => {
  expect(body({ sampling: { choices: 1, temperature: 1 } }, NARROW)).toMatchObject({
    temperature: 1,
    stream_options: { continuous_usage_stats: true },
  });
  expect(() => body({ engineOptions: { stream: false } })).toThrow(
    expect.objectContaining({ reason: 'INVALID_FIELD', metadata: { field: 'stream' } }),
  );
  expect(() => body({ sampling: { seed: 2n ** 60n } })).toThrow(
    expect.objectContaining({ reason: 'INVALID_FIELD', metadata: { field: 'seed' } }),
  );
});

test('values that change nothing are left out where the field is not known, and handed on where anything is', () => {
  const engineOptions = {
    modalities: ['text'],
    functions: [],
    function_call: 'auto',
    best_of: 1,
    chat_template_kwargs: {},
    prompt_cache_options: { mode: 'explicit' },
    logprobs: null,
    anything: null,
    user: 'ann',
  };
  const sampling = { minTokens: 0 };
  expect(body({ engineOptions, sampling }, NARROW)).toEqual(body({}, NARROW));
  expect(body({ engineOptions: { function_call: 'none' } }, NARROW)).toEqual(body({}, NARROW));
  expect(body({ engineOptions, sampling }, OPEN)).toMatchObject(engineOptions);
});

test('a refused image says that it is images', () => {
  const image = said({ parts: [{ part: { case: 'imageUrl', value: 'x' } }] });
  expect(() => body(image, NARROW)).toThrow("The engine 'e' does not support images ('messages.1.content.0').");
});

test('to count the tokens of an image is refused in the same words', async () => {
  const entry = modelEntrySchema.parse({ name: 'e', engine: 'llama.cpp', model: 'a.gguf' }) as LlamaCppEntry;
  const connection = llamaCppEngine(entry).connect(
    { runDirectory: '/nowhere', nodePath: '/nowhere', gpu: 'none', environmentVariable: () => undefined },
    { devices: [], ports: [] },
  );
  const image = said({ parts: [{ part: { case: 'imageUrl', value: 'x' } }] });
  const { prompt } = create(GenerateRequestSchema, image);
  if (!prompt) throw new Error('no prompt');
  await expect(connection.tokenize(prompt, AbortSignal.timeout(30_000))).rejects.toMatchObject({
    reason: 'UNSUPPORTED_FIELD',
    metadata: { field: 'messages.1.content.0' },
  });
  await connection.close();
});
