import type OpenAI from 'openai';
import { expect, test } from 'vitest';
import { clientOf, echoed, type Setting, say } from './setting.ts';

const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const getWeather = { name: 'get_weather', description: 'The weather of a city.', parameters, strict: true };
const tools: OpenAI.ChatCompletionTool[] = [{ type: 'function', function: getWeather }];

const CALLS = ['Bergen', 'Tromsø'].map((city, index) => ({
  id: `call_${index}`,
  type: 'function',
  function: { name: 'get_weather', arguments: `{"city":"${city}"}` },
}));

/** Tools. */
export function toolCases(setting: Setting): void {
  const request = { model: 'chat', messages: say('weather'), tools };

  test('calls in an answer of one piece', async () => {
    const { choices } = await clientOf(setting()).chat.completions.create(request);
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null, tool_calls: CALLS } });
  });

  test('calls in fragments: id, type and name first, then the arguments', async () => {
    const fragments: OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall[] = [];
    const stream = await clientOf(setting()).chat.completions.create({ ...request, stream: true });
    for await (const { choices } of stream) fragments.push(...(choices[0]?.delta.tool_calls ?? []));
    for (const [index, { id, type, function: call }] of CALLS.entries()) {
      const [first, ...rest] = fragments.filter((fragment) => fragment.index === index);
      expect(first).toMatchObject({ id, type, function: { name: call.name } });
      expect(rest.every((fragment) => fragment.id === undefined)).toBe(true);
      expect([first, ...rest].map((fragment) => fragment?.function?.arguments ?? '').join('')).toBe(call.arguments);
    }
  });

  test('the helper of the SDK puts the fragments together', async () => {
    const helper = clientOf(setting()).chat.completions.stream(request);
    const { choices } = await helper.finalChatCompletion();
    expect(choices[0]?.message.tool_calls).toMatchObject(CALLS);
  });

  test('the SDK runs the tools and hands back what they told', async () => {
    const asked: string[] = [];
    const weatherOf = ({ city }: { city: string }): string => {
      asked.push(city);
      return `rain in ${city}`;
    };
    const run = clientOf(setting()).chat.completions.runTools({
      ...request,
      tools: [{ type: 'function', function: { ...getWeather, function: weatherOf, parse: JSON.parse } }],
    });
    expect(await run.finalContent()).toBe('rain in Bergen rain in Tromsø ');
    expect(asked).toEqual(['Bergen', 'Tromsø']);
  });

  test.each(['none', 'auto', 'required', { type: 'function', function: { name: 'get_weather' } }] as const)(
    'tool_choice %j reaches the engine with the tools',
    async (tool_choice) => {
      const body = { model: 'chat', messages: say('echo'), tools, tool_choice };
      const { choices } = await clientOf(setting()).chat.completions.create(body);
      expect(echoed(choices[0]?.message.content)).toMatchObject({ tools, tool_choice });
    },
  );
}
