import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { eventually } from '../../harness/processes.ts';
import { SMALL_MODEL } from '../sdk-mesh.ts';
import { clientOf, echoed, type Setting } from './setting.ts';

type Body = Partial<OpenAI.Responses.ResponseCreateParamsNonStreaming> & Record<string, unknown>;

const person = z.object({ name: z.string(), age: z.number() });
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function' as const, name: 'get_weather', parameters, strict: true }];
const CALLS = ['Bergen', 'Tromsø'].map((city, index) => ({
  ...{ type: 'function_call', call_id: `call_${index}`, name: 'get_weather', arguments: `{"city":"${city}"}` },
}));

/** Responses. */
export function responseCases(setting: Setting): void {
  const respond = (body: Body) => clientOf(setting()).responses.create({ model: 'chat', ...body });

  test('an answer with its usage and what was asked', async () => {
    const answer = await respond({
      input: 'count 3',
      instructions: 'Count.',
      metadata: { a: 'b' },
      max_output_tokens: 9,
    });
    expect(answer).toMatchObject({
      ...{ object: 'response', status: 'completed', model: 'chat', store: false, instructions: 'Count.' },
      ...{ metadata: { a: 'b' }, max_output_tokens: 9, output_text: '0 1 2 ', error: null, incomplete_details: null },
      usage: { input_tokens: 5, output_tokens: 3, total_tokens: 8, input_tokens_details: { cached_tokens: 2 } },
    });
    expect(answer.id).toBe(`resp_${answer._request_id}`);
    const cut = await respond({ input: 'count 3', max_output_tokens: 2 });
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
  });

  test('reasoning, and log-probabilities where they are asked for', async () => {
    const { output, output_text, usage } = await respond({ input: 'think' });
    expect(output[0]).toMatchObject({
      type: 'reasoning',
      content: [{ type: 'reasoning_text', text: 'Let me think.' }],
    });
    expect([output_text, usage?.output_tokens_details.reasoning_tokens]).toEqual(['It is 42.', 2]);
    const include = ['message.output_text.logprobs' as const];
    const told = await respond({ input: 'count 1', include, top_logprobs: 1 });
    expect(told.output[0]).toMatchObject({
      content: [{ logprobs: [{ token: '0 ', logprob: -0.25, bytes: [48, 32] }] }],
    });
  });

  test('the helper of the SDK puts together what is streamed', async () => {
    const stream = clientOf(setting()).responses.stream({ model: 'chat', input: 'think' });
    const types: string[] = [];
    let text = '';
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    expect(text).toBe('It is 42.');
    expect(types.slice(0, 3)).toEqual(['response.created', 'response.in_progress', 'response.output_item.added']);
    expect(types).toContain('response.reasoning_text.done');
    expect(types.at(-1)).toBe('response.completed');
    const whole = await stream.finalResponse();
    expect([whole.output_text, whole.usage?.output_tokens, whole.output.length]).toEqual(['It is 42.', 6, 2]);
  });

  test('calls of tools, in one piece and streamed, and their results', async () => {
    const { output } = await respond({ input: 'weather', tools });
    expect(output).toMatchObject(CALLS);
    const stream = clientOf(setting()).responses.stream({ model: 'chat', input: 'weather', tools });
    expect((await stream.finalResponse()).output).toMatchObject(CALLS);
    const results = CALLS.map(({ call_id }) => ({
      type: 'function_call_output' as const,
      call_id,
      output: `rain ${call_id}`,
    }));
    const input = [{ role: 'user' as const, content: 'weather' }, ...output, ...results];
    const answer = await respond({ input: input as OpenAI.Responses.ResponseInput, tools });
    expect(answer.output_text).toBe('rain call_0 rain call_1 ');
  });

  test('a schema reaches the engine, and the answer is parsed by it', async () => {
    const text = { format: zodTextFormat(person, 'person') };
    const parsed = await clientOf(setting()).responses.parse({ model: 'chat', input: 'person', text });
    expect(parsed.output_parsed).toEqual({ name: 'Ada', age: 36 });
    const body = echoed((await respond({ input: 'echo', text, reasoning: { effort: 'low' }, top_k: 4 })).output_text);
    expect(body).toMatchObject({ response_format: { type: 'json_schema' }, reasoning_effort: 'low', top_k: 4 });
    expect(body).toMatchObject({ messages: [{ role: 'user', content: 'echo' }] });
  });

  test('what needs a memory is refused by name, and what the engine cannot by the name that it has here', async () => {
    const refused = (body: Body, param: string) => expect(respond(body)).rejects.toMatchObject({ status: 400, param });
    await refused({ input: 'a', previous_response_id: 'resp_1' }, 'previous_response_id');
    await refused({ input: 'a', conversation: 'conv_1' }, 'conversation');
    await refused({ input: 'a', background: true }, 'background');
    await refused({ input: 'a', tools: [{ type: 'web_search' }] }, 'tools.0.type');
    await refused({ model: SMALL_MODEL, input: 'a', reasoning: { effort: 'low' } }, 'reasoning.effort');
    const picture = { type: 'input_image' as const, image_url: 'data:,', detail: 'auto' as const };
    await refused({ model: SMALL_MODEL, input: [{ role: 'user', content: [picture] }] }, 'input');
    await refused({ model: SMALL_MODEL, input: 'word '.repeat(20_000) }, 'input');
  });

  test('an engine that fails in mid-stream is an error; a client that leaves ends its request', async () => {
    const reading = async (): Promise<void> => {
      for await (const _ of await clientOf(setting()).responses.create({
        model: 'chat',
        input: 'fault 3',
        stream: true,
      }));
    };
    await expect(reading()).rejects.toMatchObject({ code: 'bad_gateway' });
    await expect(reading()).rejects.toThrow(OpenAI.APIError);
    const { upstream } = setting();
    const before = upstream.left;
    const endless = { model: 'chat', input: 'endless', stream: true, max_output_tokens: 100_000 } as const;
    for await (const event of await clientOf(setting()).responses.create(endless)) {
      if (event.type === 'response.output_text.delta') break;
    }
    await eventually('the engine is told', () => upstream.left > before);
  });
}
