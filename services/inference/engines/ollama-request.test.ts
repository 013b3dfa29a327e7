import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema, ToolMode } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { type OllamaTarget, ollamaRequest } from './ollama-request.ts';

type Shape = Extract<MessageInitShape<typeof GenerateRequestSchema>, { $typeName?: never }>;
type PromptShape = NonNullable<Shape['prompt']>;
type Messages = MessageInitShape<typeof import('../../../gen/mesh/generation/v1/prompt_pb.ts').ChatSchema>['messages'];

const text: PromptShape = { input: { case: 'text', value: 'Once' } };
const say = (value: string) => ({ part: { case: 'text' as const, value } });
const chat = (messages: Messages, templateOptions?: Record<string, boolean | number>): PromptShape => ({
  input: { case: 'chat', value: { messages: messages ?? [], ...(templateOptions ? { templateOptions } : {}) } },
});
const hello = chat([{ role: Role.USER, parts: [say('Hello')] }]);

function translate(shape: Shape, target: Partial<OllamaTarget> = {}) {
  return ollamaRequest(create(GenerateRequestSchema, shape), { engine: 'e', model: 'm:1b', ...target });
}

function refusal(shape: Shape, target?: Partial<OllamaTarget>): object {
  try {
    translate(shape, target);
  } catch (error) {
    const { reason, metadata } = error as { reason: string; metadata: { field: string } };
    return { reason, field: metadata.field };
  }
  throw new Error('not refused');
}

const plain = { model: 'm:1b', stream: true, truncate: false, shift: false, options: {} };

test('a text goes raw, without the chat template', () => {
  expect(translate({ prompt: text })).toMatchObject({ path: '/api/generate' });
  expect(translate({ prompt: text }).body).toEqual({ ...plain, prompt: 'Once', raw: true });
});

test('the context is asked for only where it is given', () => {
  expect(translate({ prompt: text }, { contextTokens: 8192 }).body.options).toEqual({ num_ctx: 8192 });
});

test('where others use the server, nothing is asked that would load the model anew for them', () => {
  const { shift: _, ...shared } = plain;
  expect(translate({ prompt: text }, { shared: true }).body).toEqual({ ...shared, prompt: 'Once', raw: true });
});

test('sampling becomes options, and penalties see the whole context', () => {
  const { body } = translate({
    prompt: text,
    sampling: {
      maxTokens: 5,
      temperature: 0.5,
      topP: 0.9,
      topK: 0,
      minP: 0.1,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.2,
      presencePenalty: 0.3,
      seed: 7n,
      stop: ['\n'],
      logprobs: true,
      topLogprobs: 3,
    },
    engineOptions: { typical_p: 0.7, user: 'x' },
  });
  expect(body).toEqual({
    ...plain,
    prompt: 'Once',
    raw: true,
    logprobs: true,
    top_logprobs: 3,
    options: {
      typical_p: 0.7,
      num_predict: 5,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 0,
      min_p: 0.1,
      repeat_penalty: 1.1,
      repeat_last_n: -1,
      frequency_penalty: 0.2,
      presence_penalty: 0.3,
      seed: 7,
      stop: ['\n'],
    },
  });
});

test('a conversation with images, tools and their results', () => {
  const { path, body } = translate({
    prompt: chat([
      { role: Role.DEVELOPER, parts: [say('Be brief.')] },
      {
        role: Role.USER,
        parts: [say('What '), say('is it?'), { part: { case: 'imageUrl', value: 'data:image/png;base64,AAAA' } }],
      },
      { role: Role.ASSISTANT, toolCalls: [{ id: 'c1', name: 'look', arguments: '{"at":1}' }] },
      { role: Role.TOOL, name: 'look', toolCallId: 'c1', parts: [say('a cat')] },
    ]),
    tools: [{ name: 'look', description: 'Looks.' }],
    responseFormat: { format: { case: 'jsonSchema', value: { name: 'n', schema: { type: 'object' } } } },
  });
  expect(path).toBe('/api/chat');
  expect(body).toEqual({
    ...plain,
    format: { type: 'object' },
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'What is it?', images: ['AAAA'] },
      { role: 'assistant', content: '', tool_calls: [{ id: 'c1', function: { name: 'look', arguments: { at: 1 } } }] },
      { role: 'tool', content: 'a cat', tool_name: 'look', tool_call_id: 'c1' },
    ],
    tools: [
      {
        type: 'function',
        function: { name: 'look', description: 'Looks.', parameters: { type: 'object', properties: {} } },
      },
    ],
  });
});

test('tool choice none offers no tools, auto offers them', () => {
  const mode = (value: ToolMode) =>
    translate({ prompt: hello, tools: [{ name: 'f' }], toolChoice: { choice: { case: 'mode', value } } }).body;
  expect(mode(ToolMode.NONE).tools).toBeUndefined();
  expect(mode(ToolMode.AUTO).tools).toHaveLength(1);
});

test.each([
  [{ sampling: { reasoningEffort: 'none' } }, false],
  [{ sampling: { reasoningEffort: 'high' } }, 'high'],
  [{ prompt: chat([{ role: Role.USER, parts: [say('x')] }], { enable_thinking: false }) }, false],
  [{}, undefined],
] as [Shape, unknown][])('thinking %#', (shape, think) => {
  expect(translate({ prompt: hello, ...shape }).body.think).toBe(think);
});

test('a JSON object is asked for by its word', () => {
  const responseFormat: NonNullable<Shape['responseFormat']> = { format: { case: 'jsonObject', value: true } };
  expect(translate({ prompt: hello, responseFormat }).body.format).toBe('json');
});

test.each([
  ['prompt', { prompt: { input: { case: 'tokenIds', value: { ids: [1] } } } }],
  ['n', { sampling: { choices: 2 } }],
  ['min_tokens', { sampling: { minTokens: 1 } }],
  ['stop_token_ids', { sampling: { stopTokenIds: [1] } }],
  ['logit_bias', { sampling: { logitBias: { 1: 1 } } }],
  ['ignore_eos', { sampling: { ignoreEndOfTurn: true } }],
  ['return_token_ids', { sampling: { returnTokenIds: true } }],
  ['echo', { prompt: text, echoPrompt: true }],
  ['tools', { prompt: text, tools: [{ name: 'f' }] }],
  ['tool_choice', { tools: [{ name: 'f' }], toolChoice: { choice: { case: 'function', value: 'f' } } }],
  ['tools.0.function.strict', { tools: [{ name: 'f', strict: true }] }],
  ['num_ctx', { engineOptions: { num_ctx: 9 } }],
  ['guided_regex', { engineOptions: { guided_regex: 'x' } }],
  ['chat_template_kwargs.x', { prompt: chat([{ role: Role.USER, parts: [say('x')] }], { x: 1 }) }],
  ['messages.0.name', { prompt: chat([{ role: Role.USER, name: 'ann', parts: [say('x')] }]) }],
  [
    'messages.0.content.1',
    {
      prompt: chat([
        { role: Role.USER, parts: [say('x'), { part: { case: 'imageUrl', value: 'http://127.0.0.1/cat.png' } }] },
      ]),
    },
  ],
  [
    'messages.0.content.0',
    { prompt: chat([{ role: Role.USER, parts: [{ part: { case: 'inputAudio', value: { format: 'wav' } } }] }]) },
  ],
] as [string, Shape][])('%s is refused by name', (field, shape) => {
  expect(refusal({ prompt: hello, ...shape })).toEqual({ reason: 'UNSUPPORTED_FIELD', field });
});

test('images are refused where the server says that the model has no eyes', () => {
  const prompt = chat([
    { role: Role.USER, parts: [{ part: { case: 'imageUrl', value: 'data:image/png;base64,AA' } }] },
  ]);
  expect(refusal({ prompt }, { abilities: new Set(['completion']) })).toMatchObject({ field: 'messages' });
  expect(translate({ prompt }, { abilities: new Set(['completion', 'vision']) }).path).toBe('/api/chat');
});

test.each([
  ['tools', { tools: [{ name: 'f' }] }, ['completion']],
  ['reasoning_effort', { sampling: { reasoningEffort: 'high' } }, ['completion']],
  [
    'chat_template_kwargs.enable_thinking',
    { prompt: chat([{ role: Role.USER, parts: [say('x')] }], { enable_thinking: true }) },
    ['completion'],
  ],
  ['messages', {}, ['embedding']],
  ['prompt', { prompt: text }, ['embedding']],
] as [string, Shape, string[]][])('%s is refused where the server says that the model cannot', (field, shape, told) => {
  expect(refusal({ prompt: hello, ...shape }, { abilities: new Set(told) })).toEqual({
    reason: 'UNSUPPORTED_FIELD',
    field,
  });
  const all = new Set(['completion', 'tools', 'thinking']);
  expect(translate({ prompt: hello, ...shape }, { abilities: all }).path).toMatch(/^\/api/);
});

test('no reasoning is no demand on the model', () => {
  const none = { prompt: hello, sampling: { reasoningEffort: 'none' } };
  expect(translate(none, { abilities: new Set(['completion']) }).body).toMatchObject({ think: false });
});

test.each([
  ['reasoning_effort', { sampling: { reasoningEffort: 'minimal' } }],
  ['seed', { sampling: { seed: 2n ** 60n } }],
  [
    'messages.0.tool_calls.0.function.arguments',
    { prompt: chat([{ role: Role.ASSISTANT, toolCalls: [{ id: 'c', name: 'f', arguments: '{"a":' }] }]) },
  ],
] as [string, Shape][])('%s is invalid', (field, shape) => {
  expect(refusal({ prompt: hello, ...shape })).toEqual({ reason: 'INVALID_FIELD', field });
});
