import { create, toJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { cpuMsOf } from '../../../test/harness/cpu-time.ts';
import { validBody } from '../http/validate.ts';
import { chatRequest } from './chat-request.ts';
import { chatBodySchema } from './chat-schema.ts';
import { completionRequest } from './completion-request.ts';
import { completionBodySchema } from './completion-schema.ts';

const user = { role: 'user', content: 'hi' };

function chat(body: object): unknown {
  const all = { model: 'm', messages: [user], ...body };
  return toJson(GenerateRequestSchema, chatRequest(validBody(chatBodySchema, all)));
}

function completion(body: object): unknown {
  return toJson(GenerateRequestSchema, completionRequest(validBody(completionBodySchema, { model: 'm', ...body })));
}

test('the defaults of chat and of text completions', () => {
  expect(chat({})).toEqual({
    model: 'm',
    prompt: { chat: { messages: [{ role: 'ROLE_USER', parts: [{ text: 'hi' }] }] } },
    sampling: { maxTokens: 2048, temperature: 0.7, topP: 1 },
  });
  expect(completion({ prompt: 'Once' })).toEqual({
    model: 'm',
    prompt: { text: 'Once' },
    sampling: { maxTokens: 16, temperature: 0.7, topP: 1 },
  });
});

test.each([
  [{ max_tokens: 5 }, { maxTokens: 5 }],
  [{ max_tokens: 5, max_completion_tokens: 6 }, { maxTokens: 6 }],
  [{ max_tokens: 1e15 }, { maxTokens: 4294967295 }],
  [
    { temperature: 0, top_p: 0 },
    { temperature: 0, topP: 0 },
  ],
  [{ stop: 'a' }, { stop: ['a'] }],
  [{ stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
  [{ seed: -3 }, { seed: '-3' }],
  [{ n: 3 }, { choices: 3 }],
  [
    { logprobs: true, top_logprobs: 2 },
    { logprobs: true, topLogprobs: 2 },
  ],
  [{ logit_bias: { 42: -100 } }, { logitBias: { 42: -100 } }],
  [{ top_k: -1 }, { topK: 0 }],
  [
    { top_k: 4, min_p: 0.1, repetition_penalty: 1.1 },
    { topK: 4, minP: 0.1, repetitionPenalty: 1.1 },
  ],
  [
    { frequency_penalty: -2, presence_penalty: 2 },
    { frequencyPenalty: -2, presencePenalty: 2 },
  ],
  [
    { ignore_eos: true, min_tokens: 3, stop_token_ids: [2] },
    { ignoreEndOfTurn: true, minTokens: 3, stopTokenIds: [2] },
  ],
  [
    { return_token_ids: true, reasoning_effort: 'low' },
    { returnTokenIds: true, reasoningEffort: 'low' },
  ],
  [{ temperature: null, stop: null, n: null, seed: null, logit_bias: null }, {}],
])('sampling %j', (body, sampling) => {
  expect(chat(body)).toMatchObject({ sampling: { maxTokens: 2048, temperature: 0.7, topP: 1, ...sampling } });
});

test('messages of every role, with parts and tool calls', () => {
  const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const messages = [
    { role: 'system', content: 's' },
    { role: 'developer', content: [{ type: 'text', text: 'd' }] },
    {
      role: 'user',
      name: 'ann',
      content: [
        { type: 'text', text: 't' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'auto' } },
        { type: 'input_audio', input_audio: { data: 'AQI=', format: 'wav' } },
      ],
    },
    { role: 'assistant', content: null, refusal: null, annotations: [], tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c1', content: '7' },
    { role: 'assistant', content: 'ok', refusal: 'no' },
  ];
  expect(chat({ messages })).toMatchObject({
    prompt: {
      chat: {
        messages: [
          { role: 'ROLE_SYSTEM', parts: [{ text: 's' }] },
          { role: 'ROLE_DEVELOPER', parts: [{ text: 'd' }] },
          {
            role: 'ROLE_USER',
            name: 'ann',
            parts: [
              { text: 't' },
              { imageUrl: 'data:image/png;base64,AA==' },
              { inputAudio: { data: 'AQI=', format: 'wav' } },
            ],
          },
          { role: 'ROLE_ASSISTANT', toolCalls: [{ id: 'c1', name: 'f', arguments: '{}' }] },
          { role: 'ROLE_TOOL', toolCallId: 'c1', parts: [{ text: '7' }] },
          { role: 'ROLE_ASSISTANT', parts: [{ text: 'ok' }, { refusal: 'no' }] },
        ],
      },
    },
  });
});

test('tools, tool choice and response format', () => {
  const tool = {
    type: 'function',
    function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: true },
  };
  expect(chat({ tools: [tool], tool_choice: 'required' })).toMatchObject({
    tools: [{ name: 'f', description: 'd', parameters: { type: 'object' }, strict: true }],
    toolChoice: { mode: 'TOOL_MODE_REQUIRED' },
  });
  const choice = { type: 'function', function: { name: 'f' } };
  expect(chat({ tool_choice: choice })).toMatchObject({ toolChoice: { function: 'f' } });
  expect(chat({ response_format: { type: 'text' } })).not.toHaveProperty('responseFormat');
  expect(chat({ response_format: { type: 'json_object' } })).toMatchObject({ responseFormat: { jsonObject: true } });
  const schema = { name: 'n', schema: { type: 'object' }, strict: false };
  expect(chat({ response_format: { type: 'json_schema', json_schema: schema } })).toMatchObject({
    responseFormat: { jsonSchema: { name: 'n', schema: { type: 'object' }, strict: false } },
  });
});

test('fields without effect vanish, the user becomes end_user, the rest goes to the engine', () => {
  const silent = {
    store: true,
    metadata: { a: 'b' },
    service_tier: 'auto',
    parallel_tool_calls: false,
    safety_identifier: 's',
    prompt_cache_key: 'p',
    verbosity: 'low',
    functions: null,
  };
  expect(chat(silent)).not.toHaveProperty('engineOptions');
  expect(chat({ user: 'u1', guided_regex: 'a+', modalities: ['audio'] })).toMatchObject({
    endUser: 'u1',
    engineOptions: { guided_regex: 'a+', modalities: ['audio'] },
  });
  expect(chat({ chat_template_kwargs: { enable_thinking: false } })).toMatchObject({
    prompt: { chat: { templateOptions: { enable_thinking: false } } },
  });
});

test('the prompt forms of text completions', () => {
  expect(completion({ prompt: ['Once'] })).toMatchObject({ prompt: { text: 'Once' } });
  expect(completion({ prompt: [1, 2] })).toMatchObject({ prompt: { tokenIds: { ids: [1, 2] } } });
  expect(completion({ prompt: [[1, 2]] })).toMatchObject({ prompt: { tokenIds: { ids: [1, 2] } } });
  expect(completion({ prompt: 'a', echo: true, logprobs: 3, best_of: 1 })).toMatchObject({
    echoPrompt: true,
    sampling: { logprobs: true, topLogprobs: 3 },
  });
  expect(completion({ prompt: 'a', best_of: 1 })).not.toHaveProperty('engineOptions');
  expect(completion({ prompt: 'a', best_of: 2, suffix: 'z' })).toMatchObject({
    engineOptions: { best_of: 2, suffix: 'z' },
  });
});

test('every request that the schema lets through is one that the contract knows', () => {
  const request = chatRequest(validBody(chatBodySchema, { model: 'm', messages: [user] }));
  expect(request).toEqual(create(GenerateRequestSchema, request));
});

test.each([
  [{ model: 7 }, 'model'],
  [{ messages: undefined }, 'messages'],
  [{ messages: [] }, 'messages'],
  [{ messages: 'hi' }, 'messages'],
  [{ messages: [{ role: 'king', content: 'x' }] }, 'messages.0.role'],
  [{ messages: [user, { role: 'user' }] }, 'messages.1.content'],
  [{ messages: [{ role: 'user', content: 7 }] }, 'messages.0.content'],
  [{ messages: [{ role: 'user', content: [{ type: 'file', file: {} }] }] }, 'messages.0.content.0.type'],
  [{ messages: [{ role: 'user', content: [{ type: 'text', text: 3 }] }] }, 'messages.0.content.0.text'],
  [{ messages: [{ role: 'assistant', content: null }] }, 'messages.0.content'],
  [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages.0.tool_call_id'],
  [{ messages: Array(2049).fill(user) }, 'messages'],
  [{ temperature: 2.1 }, 'temperature'],
  [{ temperature: '1' }, 'temperature'],
  [{ top_p: -0.1 }, 'top_p'],
  [{ max_tokens: 0 }, 'max_tokens'],
  [{ max_tokens: 1.5 }, 'max_tokens'],
  [{ n: 9 }, 'n'],
  [{ stop: Array(17).fill('a') }, 'stop'],
  [{ stop: [''] }, 'stop.0'],
  [{ stream: 'yes' }, 'stream'],
  [{ stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
  [{ logit_bias: { a: 1 } }, 'logit_bias.a'],
  [{ logit_bias: { 1: 101 } }, 'logit_bias.1'],
  [{ top_logprobs: 2 }, 'top_logprobs'],
  [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  [{ tools: [{ type: 'custom' }] }, 'tools.0.type'],
  [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools.0.function.name'],
  [{ tool_choice: 'maybe' }, 'tool_choice'],
  [{ response_format: { type: 'xml' } }, 'response_format.type'],
  [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
])('chat refuses %j and names %s', (body, field) => {
  expect(() => chat(body)).toThrow(expect.objectContaining({ reason: 'INVALID_FIELD', metadata: { field } }));
});

test.each([
  [{}, 'prompt'],
  [{ prompt: Array(129).fill('a') }, 'prompt'],
  [{ prompt: ['a', [1]] }, 'prompt.1'],
  [{ prompt: [1, [2]] }, 'prompt.1'],
  [{ prompt: ['a', ''] }, 'prompt.1'],
  [{ prompt: [[1], []] }, 'prompt.1'],
  [{ prompt: Array(17).fill('a'), n: 8 }, 'n'],
  [{ prompt: [[1], [2]], echo: true }, 'echo'],
  [{ prompt: [] }, 'prompt'],
  [{ prompt: '' }, 'prompt'],
  [{ prompt: [[]] }, 'prompt.0'],
  [{ prompt: [1], echo: true }, 'echo'],
  [{ prompt: 'a', logprobs: true }, 'logprobs'],
  [{ prompt: 'a', response_format: { type: 'json_object' } }, 'response_format'],
])('text completions refuse %j and name %s', (body, field) => {
  expect(() => completion(body)).toThrow(expect.objectContaining({ reason: 'INVALID_FIELD', metadata: { field } }));
});

const extras = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`x${index}`, 1]));

test('128 unknown fields go to the engine, one more is refused by name', () => {
  expect(chat({ ...extras(128), store: true })).toMatchObject({ engineOptions: extras(128) });
  const refused = expect.objectContaining({ reason: 'INVALID_FIELD', metadata: { field: 'x128' } });
  expect(() => chat(extras(130))).toThrow(refused);
  expect(() => completion({ prompt: 'a', ...extras(130) })).toThrow(refused);
});

test('a model that is null is the default one', () => {
  expect(chat({ model: null })).toEqual(chat({ model: undefined }));
  expect(completion({ model: null, prompt: 'a' })).not.toHaveProperty('model');
});

test('a format that is null is none', () => {
  expect(completion({ response_format: null, prompt: 'a' })).toEqual(completion({ prompt: 'a' }));
});

const message = (content: unknown) => ({ messages: [{ role: 'user', content }] });

test.each([
  [chat, message(null), /content: expected a string or a list of at most 1024 content parts/],
  [chat, message([{ type: 'file' }]), /type: expected one of text, image_url, input_audio/],
  [chat, { messages: [{ role: 'assistant', content: [{ type: 'file' }] }] }, /type: expected one of text, refusal/],
  [chat, { messages: ['x'] }, /messages.0: expected object/],
  [chat, { messages: [{ role: 'king', content: 'x' }] }, /role: expected one of system, developer, user/],
  [chat, { stop: 1 }, /stop: expected a string or a list of at most 16 strings/],
  [chat, { stop: Array(17).fill('a') }, /stop: expected a string or a list of at most 16 strings/],
  [chat, { tool_choice: 'x' }, /tool_choice: expected "none", "auto", "required" or/],
  [chat, { response_format: { type: 'xml' } }, /type: expected one of text, json_object, json_schema/],
  [
    completion,
    { prompt: null },
    /prompt: expected a text that is not empty, a list of at most \d+ token ids, or a list of at most \d+ of either/,
  ],
  [completion, { prompt: 7 }, /prompt: expected a text/],
  [completion, { prompt: 'a', response_format: { type: 'text' } }, /is for \/v1\/chat\/completions only/],
])('%o: %j is told what is expected', (endpoint, body, text) => {
  expect(() => endpoint(body)).toThrow(text);
});

test('content parts are bounded per message and over all messages', () => {
  const parts = (count: number) => Array(count).fill({ type: 'text', text: 'x' });
  expect(() => chat(message(parts(1025)))).toThrow(
    /content: expected a string or a list of at most 1024 content parts/,
  );
  const user1000 = { role: 'user', content: parts(1000) };
  expect(() => chat({ messages: Array(5).fill(user1000) })).toThrow(/messages: at most 4096 content parts/);
  expect(() => chat({ messages: Array(4).fill(user1000) })).not.toThrow();
});

test('several prompts are one request', () => {
  expect(completion({ prompt: ['a', 'b', 'c'], n: 2 })).toMatchObject({
    prompt: { text: 'a' },
    morePrompts: [{ text: 'b' }, { text: 'c' }],
    sampling: { choices: 2 },
  });
  expect(completion({ prompt: [[1, 2], [3]] })).toMatchObject({
    prompt: { tokenIds: { ids: [1, 2] } },
    morePrompts: [{ tokenIds: { ids: [3] } }],
  });
});

test('a million wrong elements make one complaint, quickly', () => {
  const stop = Array(1_000_000).fill(1);
  const cpuMs = cpuMsOf(() => {
    expect(() => chat({ stop })).toThrow(/stop/);
  });
  expect(cpuMs).toBeLessThan(200);
});
