import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk';
import { describe, expect, test } from 'vitest';
import { eventually } from '../../harness/processes.ts';
import { SMALL_MODEL } from '../sdk-mesh.ts';
import { countingFetch, echoed, type Setting, say } from './setting.ts';

type Body = Partial<Anthropic.MessageCreateParamsNonStreaming> & Record<string, unknown>;

const input_schema = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ name: 'get_weather', description: 'The weather of a city.', input_schema }];
const CALLS = ['Bergen', 'Tromsø'].map((city, index) => ({
  ...{ type: 'tool_use', id: `call_${index}`, name: 'get_weather', input: { city } },
}));

/** Anthropic's messages. */
export function messageCases(setting: Setting): void {
  const client = (options: ClientOptions = {}) =>
    new Anthropic({ baseURL: setting().mesh.url, apiKey: setting().keys.admin, maxRetries: 0, ...options });
  const ask = (body: Body, options: ClientOptions = {}) =>
    client(options).messages.create({ model: 'chat', max_tokens: 100, messages: say('count 3'), ...body });
  const textOf = ({ content }: Anthropic.Message) =>
    content.map((block) => ('text' in block ? block.text : '')).join('');

  test('an answer with its usage, why it ended, and the id of its request', async () => {
    const answer = await ask({});
    expect(answer).toMatchObject({
      ...{ type: 'message', role: 'assistant', model: 'chat', stop_reason: 'end_turn', stop_sequence: null },
      content: [{ type: 'text', text: '0 1 2 ' }],
      usage: { input_tokens: 3, cache_read_input_tokens: 2, output_tokens: 3 },
    });
    expect(answer.id).toBe(`msg_${answer._request_id}`);
    expect(await ask({ max_tokens: 2 })).toMatchObject({ stop_reason: 'max_tokens' });
    expect(await ask({ stop_sequences: ['END'] })).toMatchObject({
      stop_reason: 'stop_sequence',
      stop_sequence: 'END',
    });
  });

  test('the fields, the system text and pictures reach the engine', async () => {
    const source = { type: 'base64' as const, media_type: 'image/png' as const, data: 'AAAA' };
    const content = [
      { type: 'text' as const, text: 'echo' },
      { type: 'image' as const, source },
    ];
    const answer = await ask({
      ...{ system: 'Be brief.', messages: [{ role: 'user', content }], max_tokens: 77, metadata: { user_id: 'u' } },
      ...{ temperature: 0.2, top_p: 0.9, top_k: 4, stop_sequences: ['x'], tools, tool_choice: { type: 'any' } },
    });
    expect(echoed(textOf(answer))).toMatchObject({
      ...{ max_tokens: 77, temperature: 0.2, top_p: 0.9, top_k: 4, stop: ['x'], tool_choice: 'required' },
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ text: 'echo' }, { image_url: { url: 'data:image/png;base64,AAAA' } }] },
      ],
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: input_schema } }],
    });
  });

  test('the helper of the SDK puts together what is streamed, thoughts apart', async () => {
    const stream = client().messages.stream({ model: 'chat', max_tokens: 100, messages: say('think') });
    const told: string[] = [];
    stream.on('text', (text) => told.push(text));
    const { content, usage, stop_reason } = await stream.finalMessage();
    expect(content).toMatchObject([
      { type: 'thinking', thinking: 'Let me think.' },
      { type: 'text', text: 'It is 42.' },
    ]);
    expect(told.join('')).toBe('It is 42.');
    expect([usage.input_tokens, usage.output_tokens, stop_reason]).toEqual([3, 6, 'end_turn']);
  });

  test('calls of tools, in one piece and streamed, and their results', async () => {
    const messages = say('weather');
    const answer = await ask({ messages, tools });
    expect(answer).toMatchObject({ stop_reason: 'tool_use', content: CALLS });
    const stream = client().messages.stream({ model: 'chat', max_tokens: 100, messages, tools });
    expect(await stream.finalMessage()).toMatchObject({ stop_reason: 'tool_use', content: CALLS });
    const results = CALLS.map(({ id }) => ({ type: 'tool_result' as const, tool_use_id: id, content: `rain ${id}` }));
    const asked = [...messages, { role: 'assistant' as const, content: answer.content }];
    const last = { role: 'user' as const, content: [...results, { type: 'text' as const, text: 'weather' }] };
    expect(textOf(await ask({ messages: [...asked, last], tools }))).toBe('rain call_0 rain call_1 ');
  });

  describe('errors', () => {
    test.each([
      ['BadRequestError', { temperature: 9 }, {}, 'invalid_request_error'],
      ['AuthenticationError', {}, { apiKey: 'im_wrong' }, 'authentication_error'],
      ['NotFoundError', { model: 'nobody/knows' }, {}, 'not_found_error'],
      ['InternalServerError', { messages: say('refuse 503 busy') }, {}, 'overloaded_error'],
      ['InternalServerError', { messages: say('refuse 500 no') }, {}, 'api_error'],
    ] as const)('%s for %j', async (name, body, options, type) => {
      const failed = await ask(body as Body, options).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(Anthropic[name]);
      expect(failed).toMatchObject({ type, error: { type: 'error', error: { type } }, requestID: expect.any(String) });
    });

    test('a key that may not use the model, and one whose limit is reached for long, which is told at once', async () => {
      const { keys, freshKeys } = setting();
      await expect(ask({}, { apiKey: keys.narrow })).rejects.toMatchObject({ type: 'permission_error' });
      const { hourly } = await freshKeys();
      await ask({}, { apiKey: hourly });
      const { fetch, attempts } = countingFetch();
      const limited = ask({}, { apiKey: hourly, fetch, maxRetries: 2 });
      await expect(limited).rejects.toMatchObject({ status: 429, type: 'rate_limit_error' });
      expect(attempts()).toBe(1);
    });

    test('what the engine cannot is refused by the name that it has here', async () => {
      const refused = (body: Body, param: string) =>
        expect(ask(body)).rejects.toMatchObject({ status: 400, error: { error: { param } } });
      await refused({ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools.0.type');
      await refused({ messages: [...say('a'), { role: 'assistant', content: 'b' }] }, 'messages.1.role');
      await refused({ model: SMALL_MODEL, tools }, 'tools');
      await refused({ model: SMALL_MODEL, output_config: { effort: 'low' } }, 'output_config.effort');
      await refused({ model: SMALL_MODEL, messages: say('word '.repeat(20_000)) }, 'messages');
    });

    test('an engine that fails in mid-stream is an error; a client that leaves ends its request', async () => {
      const reading = async (command: string): Promise<void> => {
        const stream = await client().messages.create({
          ...{ model: 'chat', max_tokens: 100_000, messages: say(command), stream: true },
        });
        for await (const event of stream) if (command === 'endless' && event.type === 'content_block_delta') break;
      };
      await expect(reading('fault 3')).rejects.toMatchObject({ type: 'api_error' });
      const { upstream } = setting();
      const before = upstream.left;
      await reading('endless');
      await eventually('the engine is told', () => upstream.left > before);
    });
  });
}
