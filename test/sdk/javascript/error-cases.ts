import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { eventually } from '../../harness/processes.ts';
import { SMALL_MODEL } from '../sdk-mesh.ts';
import { clientOf, countingFetch, type Setting, say } from './setting.ts';

type Body = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Record<string, unknown>;

/** Errors, retries, headers and names of models. */
export function errorCases(setting: Setting): void {
  const chat = (body: Body, client = clientOf(setting())) =>
    client.chat.completions.create({ model: 'chat', messages: say('count 1'), ...body });

  test.each([
    ['BadRequestError', { temperature: 9 }, { param: 'temperature', code: 'invalid_value' }],
    ['BadRequestError', { messages: say('refuse 400 no') }, { param: 'top_p' }],
    ['NotFoundError', { model: 'nobody/knows' }, { code: 'model_not_found', param: 'model' }],
    ['InternalServerError', { messages: say('refuse 503 busy') }, { status: 503, code: 'server_is_overloaded' }],
    ['InternalServerError', { messages: say('refuse 500 /secret/path') }, { status: 502, code: 'bad_gateway' }],
  ] as const)('%s for %j', async (name, body, expected) => {
    const failed = await chat(body as Body).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OpenAI[name]);
    expect(failed).toMatchObject({ ...expected, requestID: expect.any(String), type: expect.any(String) });
    expect(String(failed)).not.toContain('/secret');
  });

  test('a wrong key, a model that the key may not use, a body that is too large, a prompt that is too long', async () => {
    const { keys } = setting();
    const wrong = chat({}, clientOf(setting(), { apiKey: 'im_wrong' }));
    await expect(wrong).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(wrong).rejects.toMatchObject({ code: 'invalid_api_key' });
    await expect(chat({}, clientOf(setting(), { apiKey: keys.narrow }))).rejects.toThrow(OpenAI.PermissionDeniedError);
    await expect(chat({ messages: say('x'.repeat(11 * 2 ** 20)) })).rejects.toMatchObject({ status: 413 });
    const long = chat({ model: SMALL_MODEL, messages: say('word '.repeat(20_000)) });
    await expect(long).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  test.each([
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['modalities', { modalities: ['audio'] }],
    ['functions', { functions: [{ name: 'f' }] }],
    ['prediction', { prediction: { type: 'content', content: 'x' } }],
    [
      'messages.0.content.0',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,' } }] }] },
    ],
  ] as const)('%s is refused by name by an engine that cannot', async (param, body) => {
    await expect(chat({ model: SMALL_MODEL, ...body } as Body)).rejects.toMatchObject({ status: 400, param });
  });

  test.each([
    ['tools.0.type', { tools: [{ type: 'custom', custom: { name: 'f' } }] }],
    ['tool_choice.type', { tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [] } } }],
    [
      'messages.0.content.0.type',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] },
    ],
  ] as const)('%s is refused by name for every engine', async (param, body) => {
    await expect(chat(body as unknown as Body)).rejects.toMatchObject({ status: 400, param });
  });

  describe('attempts', () => {
    const attempts = async (apiKey: string, body: Body): Promise<unknown[]> => {
      const { fetch, attempts: made } = countingFetch();
      const outcome = await chat(body, clientOf(setting(), { apiKey, fetch, maxRetries: 2 })).catch((error) => error);
      return [outcome, made()];
    };

    test('a short wait is sat out, and the next attempt goes well', async () => {
      const { slow } = setting().keys;
      const both = await Promise.all([attempts(slow, {}), attempts(slow, {})]);
      for (const [answer] of both) expect(answer).toMatchObject({ object: 'chat.completion' });
      expect(Math.max(...both.map(([, made]) => made as number))).toBeGreaterThan(1);
    });

    test('a long wait is told at once, with its length', async () => {
      const { hourly } = setting().keys;
      await chat({}, clientOf(setting(), { apiKey: hourly }));
      const [error, made] = await attempts(hourly, {});
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      expect(error).toMatchObject({ code: 'rate_limit_exceeded', type: 'rate_limit_error' });
      const { headers } = error as InstanceType<typeof OpenAI.RateLimitError>;
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(60);
      expect(headers.get('x-should-retry')).toBe('false');
      expect(made).toBe(1);
    });

    test('a budget that never suffices is told at once', async () => {
      const [error, made] = await attempts(setting().keys.thrifty, { max_tokens: 2_000 });
      expect(error).toMatchObject({ status: 429, code: 'insufficient_quota' });
      expect(made).toBe(1);
    });

    test('what is wrong stays wrong; an engine that is busy may not be for long', async () => {
      const { admin } = setting().keys;
      expect((await attempts(admin, { temperature: 9 }))[1]).toBe(1);
      const [error, made] = await attempts(admin, { messages: say('refuse 503 busy') });
      expect(error).toMatchObject({ status: 503 });
      expect(made).toBe(3);
    });

    test('a client that has waited long enough ends the request of the engine', async () => {
      const { upstream } = setting();
      const before = upstream.left;
      const late = chat({ messages: say('endless'), max_tokens: 100_000 }, clientOf(setting(), { timeout: 300 }));
      await expect(late).rejects.toThrow(OpenAI.APIConnectionTimeoutError);
      await eventually('the engine is told', () => upstream.left > before);
    });
  });

  test('the headers of the answer, with the id that the caller gave', async () => {
    const request = { model: 'chat', messages: say('count 1') };
    const options = { headers: { 'x-request-id': 'my-request-7' } };
    const { response, request_id } = await clientOf(setting(), { apiKey: setting().keys.thrifty })
      .chat.completions.create({ ...request, max_tokens: 1 }, options)
      .withResponse();
    expect(request_id).toBe('my-request-7');
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'x-request-id': 'my-request-7',
      'x-ratelimit-limit-minute': '2147483647',
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-remaining-tokens': expect.stringMatching(/^\d+$/),
      'x-ratelimit-reset-tokens': expect.stringMatching(/^(\d+m)?[\d.]+m?s$/),
    });
  });

  test('models by id, also with a slash in it, bare and encoded, and by their other names', async () => {
    const client = clientOf(setting());
    const ids = (await client.models.list()).data.map(({ id }) => id);
    expect(ids.slice(0, 2)).toEqual(['org/chat-1', 'org/embed-1']);
    for (const id of ids) expect(await client.models.retrieve(id)).toMatchObject({ id, object: 'model' });
    expect(await client.models.retrieve('chat')).toMatchObject({ id: 'chat', root: 'org/chat-1' });
    const bare = await fetch(`${setting().baseUrl}/models/org/chat-1`, {
      headers: { authorization: `Bearer ${setting().keys.admin}` },
    });
    expect(await bare.json()).toMatchObject({ id: 'org/chat-1' });
    await expect(client.models.retrieve('nobody/knows')).rejects.toThrow(OpenAI.NotFoundError);
    expect((await chat({ model: 'org/chat-1' })).model).toBe('org/chat-1');
  });
}
