import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { eventually } from '../../harness/processes.ts';
import { clientOf, type Setting, say } from './setting.ts';

type Chunk = OpenAI.ChatCompletionChunk;

/** Chats that are streamed. */
export function streamCases(setting: Setting): void {
  const stream = (command: string, body: Partial<OpenAI.ChatCompletionCreateParamsStreaming> = {}) =>
    clientOf(setting()).chat.completions.create({ model: 'chat', messages: say(command), ...body, stream: true });
  const chunksOf = async (...asked: Parameters<typeof stream>): Promise<Chunk[]> => {
    const chunks: Chunk[] = [];
    for await (const chunk of await stream(...asked)) chunks.push(chunk);
    return chunks;
  };

  test('pieces as they come, the role with the first, the bill last and apart', async () => {
    const chunks = await chunksOf('count 3', { stream_options: { include_usage: true } });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('0 1 2 ');
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual(['stop']);
    const last = chunks.pop();
    expect(last).toMatchObject({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 } });
    expect(chunks.every(({ usage }) => usage === null)).toBe(true);
  });

  test('no bill unless asked', async () => {
    const chunks = await chunksOf('count 2');
    expect(chunks.every((chunk) => !('usage' in chunk) && chunk.choices.length === 1)).toBe(true);
  });

  test('several choices, each with its role and its end', async () => {
    const chunks = await chunksOf('count 2', { n: 2 });
    for (const index of [0, 1]) {
      const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
      expect(own[0]?.delta.role).toBe('assistant');
      expect(own.map(({ delta }) => delta.content ?? '').join('')).toBe('0 1 ');
      expect(own.at(-1)?.finish_reason).toBe('stop');
    }
  });

  test('reasoning before the answer', async () => {
    const deltas = (await chunksOf('think')).map(({ choices }) => choices[0]?.delta as Record<string, string>);
    expect(deltas.map(({ reasoning_content: text }) => text ?? '').join('')).toBe('Let me think.');
    expect(deltas.map(({ content }) => content ?? '').join('')).toBe('It is 42.');
  });

  test('log-probabilities travel with their tokens', async () => {
    const chunks = await chunksOf('count 2', { logprobs: true, top_logprobs: 1 });
    const tokens = chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []);
    expect(tokens.map(({ token, top_logprobs: [top] }) => [token, top?.token])).toEqual([
      ['0 ', 'other'],
      ['1 ', 'other'],
    ]);
  });

  test('the helper of the SDK puts the same answer together', async () => {
    const helper = clientOf(setting()).chat.completions.stream({ model: 'chat', messages: say('count 3') });
    const told: string[] = [];
    helper.on('content', (delta) => told.push(delta));
    expect(await helper.finalContent()).toBe('0 1 2 ');
    expect(told.join('')).toBe('0 1 2 ');
  });

  test.each(['a loop that is left', 'an abort'])('%s ends the request of the engine', async (way) => {
    const { upstream } = setting();
    const before = upstream.left;
    const endless = await stream('endless', { max_tokens: 100_000 });
    for await (const chunk of endless) {
      if (chunk.choices[0]?.delta.content === '3 ') {
        if (way === 'an abort') endless.controller.abort();
        else break;
      }
    }
    await eventually('the engine is told', () => upstream.left > before);
  });

  test('an engine that fails in mid-stream is an error with a code, after what had come', async () => {
    let text = '';
    const reading = async (command: string): Promise<void> => {
      text = '';
      for await (const chunk of await stream(command)) text += chunk.choices[0]?.delta.content ?? '';
    };
    await expect(reading('fault 3')).rejects.toMatchObject({ code: 'bad_gateway', type: 'server_error' });
    expect(text).toBe('0 1 2 ');
    await expect(reading('cut 3')).rejects.toMatchObject({ code: 'engine_lost', status: undefined });
    await expect(reading('cut 3')).rejects.toThrow(OpenAI.APIError);
  });

  test('what fails before the first token has its own status', async () => {
    const refused = stream('refuse 400 top_p is odd');
    await expect(refused).rejects.toThrow(OpenAI.BadRequestError);
    await expect(refused).rejects.toMatchObject({ param: 'top_p', message: expect.stringContaining('top_p is odd') });
  });
}
