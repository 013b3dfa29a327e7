import OpenAI, { AuthenticationError, BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';

// The official SDK against the embedded engine. The random model never ends its turn by itself, so lengths are exact.
describe.each(arrangements())('the openai SDK, %s', (arrangement) => {
  let mesh: TestMesh;
  let client: OpenAI;
  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', RANDOM_MODEL] });
    client = new OpenAI({ baseURL: `${mesh.url}/v1`, apiKey: mesh.adminKey, maxRetries: 0 });
  });
  afterAll(() => mesh.stop());

  const messages = [{ role: 'user' as const, content: 'Hello there.' }];
  const model = async () => (await client.models.list()).data[0]?.id ?? '';

  test('streams a chat with usage', async () => {
    const stream = await client.chat.completions.create({
      model: await model(),
      messages,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 12,
      temperature: 0,
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    const reasons: string[] = [];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
      if (chunk.usage) usage = chunk.usage;
    }
    expect(text.length).toBeGreaterThan(0);
    expect(reasons).toEqual(['length']);
    expect(usage).toMatchObject({ completion_tokens: 12 });
    expect(usage?.prompt_tokens).toBeGreaterThan(0);
    expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + 12);
  });

  test('gives the same text with and without stream', async () => {
    const request = { model: await model(), messages, max_tokens: 20, temperature: 0 };
    const whole = await client.chat.completions.create(request);
    const runner = client.chat.completions.stream(request);
    expect(await runner.finalContent()).toBe(whole.choices[0]?.message.content);
    expect(whole.choices[0]?.message.role).toBe('assistant');
    expect(whole.usage?.completion_tokens).toBe(20);
  });

  test('a seed repeats itself', async () => {
    const request = { model: await model(), messages, max_tokens: 16, temperature: 1, seed: 42 };
    const texts = await Promise.all([1, 2].map(() => client.chat.completions.create(request)));
    expect(texts[0]?.choices[0]?.message.content).toBe(texts[1]?.choices[0]?.message.content);
  });

  test('completes a text, from words and from token ids, with and without stream', async () => {
    const request = { model: await model(), prompt: 'The quick', max_tokens: 8, temperature: 0 };
    const whole = await client.completions.create(request);
    let streamed = '';
    for await (const chunk of await client.completions.create({ ...request, stream: true }))
      streamed += chunk.choices[0]?.text ?? '';
    expect(streamed).toBe(whole.choices[0]?.text);
    const fromTokens = await client.completions.create({ ...request, prompt: [40, 41, 42] });
    expect(fromTokens.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 8 });
  });

  test('completes several prompts in one request as it does each by itself, with and without stream', async () => {
    const prompt = ['The quick', 'Once upon', 'A river'];
    const request = { model: await model(), max_tokens: 8, temperature: 0 };
    const alone = await Promise.all(prompt.map((one) => client.completions.create({ ...request, prompt: one })));
    const texts = alone.map(({ choices }) => choices[0]?.text);
    const whole = await client.completions.create({ ...request, prompt, n: 2 });
    expect(whole.choices.map(({ index, text }) => [index, text])).toEqual(
      Array.from({ length: 6 }, (_, choice) => [choice, texts[Math.floor(choice / 2)]]),
    );
    const promptTokens = alone.reduce((sum, { usage }) => sum + (usage?.prompt_tokens ?? 0), 0);
    expect(whole.usage).toMatchObject({ prompt_tokens: promptTokens, completion_tokens: 6 * 8 });
    const streamed: string[] = [];
    const stream = await client.completions.create({ ...request, prompt, stream: true });
    for await (const { choices } of stream)
      for (const { index, text } of choices) streamed[index] = (streamed[index] ?? '') + text;
    expect(streamed).toEqual(texts);
    const ids = await client.completions.create({ ...request, prompt: [[40, 41, 42], [43]] });
    expect(ids.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 16 });
    const wrong = client.completions.create({ ...request, prompt: [[40], [4_000_000_000]] });
    await expect(wrong).rejects.toMatchObject({ status: 400 });
  });

  test('stops at a stop string, which is not part of the text', async () => {
    const request = { model: await model(), messages, max_tokens: 60, temperature: 0 };
    const text = (await client.chat.completions.create(request)).choices[0]?.message.content ?? '';
    const stop = text.slice(10, 13);
    const stopped = await client.chat.completions.create({ ...request, stop });
    expect(stopped.choices[0]?.finish_reason).toBe('stop');
    expect(stopped.choices[0]?.message.content).toBe(text.slice(0, text.indexOf(stop)));
  });

  test('lists and retrieves models', async () => {
    const { data } = await client.models.list();
    expect(data[0]).toMatchObject({ object: 'model', id: expect.any(String), owned_by: expect.any(String) });
    expect(await client.models.retrieve(data[0]?.id ?? '')).toMatchObject({ id: data[0]?.id });
  });

  test('errors have the class, the code and the field that the SDK knows', async () => {
    const anonymous = new OpenAI({ baseURL: `${mesh.url}/v1`, apiKey: 'im_wrong', maxRetries: 0 });
    await expect(anonymous.models.list()).rejects.toThrow(AuthenticationError);
    await expect(client.models.retrieve('no-such-model')).rejects.toThrow(NotFoundError);
    const unknown = client.chat.completions.create({ model: 'no-such-model', messages });
    await expect(unknown).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      requestID: expect.any(String),
    });
    const hot = client.chat.completions.create({ model: await model(), messages, temperature: 9 });
    await expect(hot).rejects.toThrow(BadRequestError);
    await expect(hot).rejects.toMatchObject({ param: 'temperature' });
    const tools = [{ type: 'function' as const, function: { name: 'f' } }];
    const unsupported = client.chat.completions.create({ model: await model(), messages, tools });
    await expect(unsupported).rejects.toMatchObject({ status: 400, param: 'tools' });
  });

  test('several choices come from an engine that makes one at a time, and are billed together', async () => {
    const body = { model: await model(), messages, max_tokens: 12, ignore_eos: true };
    const { choices, usage } = await client.chat.completions.create({ ...body, n: 3 });
    expect(choices.map(({ index, finish_reason }) => [index, finish_reason])).toEqual([
      [0, 'length'],
      [1, 'length'],
      [2, 'length'],
    ]);
    expect(choices.every(({ message }) => message.content !== '')).toBe(true);
    const alone = await client.chat.completions.create(body);
    expect(usage).toMatchObject({ prompt_tokens: alone.usage?.prompt_tokens, completion_tokens: 3 * 12 });
  });

  test('a chat that is longer than the context is refused by its code', async () => {
    const long = [{ role: 'user' as const, content: 'word '.repeat(20_000) }];
    const refused = client.chat.completions.create({ model: await model(), messages: long });
    await expect(refused).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});
