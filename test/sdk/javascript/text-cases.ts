import type OpenAI from 'openai';
import { expect, test } from 'vitest';
import { SMALL_MODEL } from '../sdk-mesh.ts';
import { clientOf, echoed, type Setting } from './setting.ts';

/** Text completions and embeddings. */
export function textCases(setting: Setting): void {
  const complete = (prompt: string | number[], body: Partial<OpenAI.CompletionCreateParamsNonStreaming> = {}) =>
    clientOf(setting()).completions.create({ model: 'chat', prompt, ...body });
  const embed = (body: Partial<OpenAI.EmbeddingCreateParams> & Pick<OpenAI.EmbeddingCreateParams, 'input'>) =>
    clientOf(setting()).embeddings.create({ model: 'vectors', ...body });

  test('a text goes on, with log-probabilities and choices', async () => {
    const { object, choices, usage } = await complete('count 2', { logprobs: 1, n: 2, max_tokens: 2 });
    expect(object).toBe('text_completion');
    expect(choices.map(({ text, index, finish_reason }) => [text, index, finish_reason])).toEqual([
      ['0 1 ', 0, 'stop'],
      ['0 1 ', 1, 'stop'],
    ]);
    expect(choices[0]?.logprobs).toMatchObject({
      tokens: ['0 ', '1 '],
      token_logprobs: [-0.25, -0.25],
      text_offset: [0, 2],
    });
    expect(usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 4 });
    expect((await complete('count 30')).choices[0]).toMatchObject({ finish_reason: 'length' });
  });

  test('the fields of a text reach the engine; token ids do too', async () => {
    const fields = { temperature: 0.1, seed: 3, stop: ['x'], presence_penalty: 1, suffix: '!', logit_bias: { 7: 1 } };
    const text = async (prompt: string | number[]) => (await complete(prompt, fields)).choices[0]?.text;
    expect(echoed(await text('echo'))).toMatchObject({ ...fields, prompt: 'echo', max_tokens: 16 });
    expect((await complete([1, 2, 3])).choices[0]?.text).toBe('0 1 2 3 ');
  });

  test('a text is streamed with the bill at the end', async () => {
    const request = {
      model: 'chat',
      prompt: 'count 3',
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of await clientOf(setting()).completions.create(request)) {
      expect(chunk.object).toBe('text_completion');
      text += chunk.choices[0]?.text ?? '';
      usage = chunk.usage;
    }
    expect([text, usage?.completion_tokens]).toEqual(['0 1 2 ', 3]);
  });

  test('vectors of one text, of several, of token ids, as numbers and as the SDK asks for them', async () => {
    const [bare, floats] = await Promise.all([
      embed({ input: 'abc' }),
      embed({ input: 'abc', encoding_format: 'float' }),
    ]);
    expect(floats.data[0]?.embedding).toEqual(
      [3, 3.1, 3.2, 3.3].map(Math.fround).map((value) => expect.closeTo(value)),
    );
    expect(bare.data[0]?.embedding.map(Math.fround)).toEqual(floats.data[0]?.embedding.map(Math.fround));
    const onTheWire = await clientOf(setting()).embeddings.create({ model: 'vectors', input: 'abc' }).asResponse();
    expect(await onTheWire.json()).toMatchObject({ data: [{ embedding: expect.any(String) }] });
    const several = await embed({ input: ['a', 'bb', 'ccc'], dimensions: 2 });
    expect(several.data.map(({ index, embedding }) => [index, embedding.length, embedding[0]])).toEqual([
      [0, 2, 1],
      [1, 2, 2],
      [2, 2, 3],
    ]);
    expect(several).toMatchObject({ object: 'list', model: 'vectors', usage: { prompt_tokens: 9, total_tokens: 9 } });
    const ids = await embed({ input: [[1, 2, 3, 4], [5]] });
    expect(ids.data.map(({ embedding }) => embedding[0])).toEqual([4, 1]);
    expect((await embed({ input: [1, 2] })).data).toHaveLength(1);
  });

  test('a model that makes no vectors is refused by name', async () => {
    await expect(embed({ model: SMALL_MODEL, input: 'a' })).rejects.toMatchObject({ status: 400, param: 'model' });
  });
}
