import type OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { clientOf, echoed, type Setting, say } from './setting.ts';

const person = z.object({ name: z.string(), age: z.number() });

/** Chats that are answered in one piece. */
export function chatCases(setting: Setting): void {
  const chat = (body: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Record<string, unknown>) =>
    clientOf(setting()).chat.completions.create({ model: 'chat', messages: say('count 3'), ...body });
  const sent = async (body: Parameters<typeof chat>[0]) =>
    echoed((await chat({ messages: say('echo'), ...body })).choices[0]?.message.content);

  test('an answer has its id, its model, its usage and the id of its request', async () => {
    const answer = await chat({});
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'chat',
      choices: [{ index: 0, message: { role: 'assistant', content: '0 1 2 ', refusal: null }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 3,
        total_tokens: 8,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    });
    expect(answer.id).toBe(`chatcmpl-${answer._request_id}`);
    expect(Math.abs(answer.created - Date.now() / 1000)).toBeLessThan(300);
  });

  test('every field of a generation reaches the engine', async () => {
    const fields = {
      ...{ temperature: 0.3, top_p: 0.9, frequency_penalty: 0.5, presence_penalty: -0.5, seed: 7, n: 1 },
      ...{ logit_bias: { 50: -100 }, logprobs: true, top_logprobs: 2, reasoning_effort: 'low' as const },
    };
    const body = await sent({ ...fields, stop: 'END', max_completion_tokens: 99 });
    const { n, ...kept } = fields;
    expect(body).toMatchObject({ ...kept, stop: ['END'], max_tokens: 99, model: 'org/chat-1' });
    expect(await sent({ stop: ['a', 'b'], max_tokens: 12 })).toMatchObject({ stop: ['a', 'b'], max_tokens: 12 });
    expect(await sent({})).toMatchObject({ temperature: 0.7, top_p: 1, max_tokens: 2048 });
  });

  test('what the SDK does not know goes to the engine as it is', async () => {
    const extras = { top_k: 5, min_p: 0.1, repetition_penalty: 1.1, guided_json: { type: 'object' }, mirostat: 2 };
    const body = await sent({ ...extras, chat_template_kwargs: { enable_thinking: false } });
    expect(body).toMatchObject({ ...extras, chat_template_kwargs: { enable_thinking: false } });
  });

  test('what has no effect is accepted and kept from the engine', async () => {
    const ignored = {
      ...{ store: true, metadata: { a: 'b' }, service_tier: 'auto' as const, parallel_tool_calls: false, user: 'u' },
      ...{ safety_identifier: 's', prompt_cache_key: 'k', verbosity: 'low' as const },
    };
    const body = await sent(ignored);
    for (const field of Object.keys(ignored)) expect(body).not.toHaveProperty(field);
  });

  test('a whole conversation with parts, pictures, sounds, names and tool results', async () => {
    const call = { id: 'call_0', type: 'function' as const, function: { name: 'f', arguments: '{"a":1}' } };
    const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AAAA' } };
    const audio = { type: 'input_audio' as const, input_audio: { data: 'AAAA', format: 'wav' as const } };
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: 'developer', content: [{ type: 'text', text: 'Be brief.' }] },
      { role: 'user', name: 'ada', content: [{ type: 'text', text: 'echo' }, image, audio] },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_0', content: 'one' },
      { role: 'assistant', content: 'So one.' },
    ];
    expect((await sent({ messages })).messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      ...messages.slice(1),
    ]);
  });

  test('several choices', async () => {
    const { choices, usage } = await chat({ n: 3 });
    expect(choices.map(({ index, message }) => [index, message.content])).toEqual([0, 1, 2].map((i) => [i, '0 1 2 ']));
    expect(usage?.completion_tokens).toBe(9);
  });

  test('log-probabilities with alternatives and bytes', async () => {
    const { choices } = await chat({ messages: say('count 1'), logprobs: true, top_logprobs: 1 });
    expect(choices[0]?.logprobs?.content).toEqual([
      { token: '0 ', logprob: -0.25, bytes: [48, 32], top_logprobs: [{ token: 'other', logprob: -2, bytes: null }] },
    ]);
  });

  test('reasoning is apart from the answer, and counted', async () => {
    const { choices, usage } = await chat({ messages: say('think') });
    expect(choices[0]?.message).toMatchObject({ reasoning_content: 'Let me think.', content: 'It is 42.' });
    expect(usage?.completion_tokens_details?.reasoning_tokens).toBe(2);
  });

  test('a schema reaches the engine, and the answer is parsed by it', async () => {
    const response_format = zodResponseFormat(person, 'person');
    const request = { model: 'chat', messages: say('person'), response_format };
    const { choices } = await clientOf(setting()).chat.completions.parse(request);
    expect(choices[0]?.message.parsed).toEqual({ name: 'Ada', age: 36 });
    expect(await sent({ response_format })).toMatchObject({ response_format });
    expect(await sent({ response_format: { type: 'json_object' } })).toMatchObject({
      response_format: { type: 'json_object' },
    });
  });
}
