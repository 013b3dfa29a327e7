import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type EmbeddedEngine,
  startEmbeddedEngine,
  streamChunks,
  streamText,
} from '../../../test/fixtures/embedded-engine.ts';

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startEmbeddedEngine();
});
afterAll(() => engine.stop());

const MESSAGES = [{ role: 'user', content: 'the river' }];
const WHOLE_TOKENS = 48;

/** A streamed answer: the text and the ids of each event, and how it ended. */
async function answer(fields: object) {
  const options = { stream: true, return_token_ids: true, stream_options: { include_usage: true } };
  const body = { messages: MESSAGES, temperature: 0, max_tokens: WHOLE_TOKENS, ...options, ...fields };
  const { status, text } = await engine.post('/v1/chat/completions', body);
  if (status !== 200) throw new Error(text);
  const chunks = streamChunks(text);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const pieces = choices.flatMap((choice) => {
    const ids = choice.token_ids ?? [];
    return ids.length > 0 ? [{ ids, text: streamText([{ ...chunks[0], choices: [choice] }] as typeof chunks) }] : [];
  });
  return { text: streamText(chunks), pieces, end: choices.at(-1)?.finish_reason, usage: chunks.at(-1)?.usage };
}

/** The answer, broken off after each of its events and continued from the tokens that had come. */
async function expectSame(fields: object): Promise<void> {
  const whole = await answer(fields);
  expect(whole.text).not.toBe('');
  let text = '';
  const ids: number[] = [];
  for (const piece of whole.pieces.slice(0, -1)) {
    text += piece.text;
    ids.push(...piece.ids);
    const rest = await answer({ ...fields, continue_token_ids: ids, max_tokens: WHOLE_TOKENS - ids.length });
    expect(text + rest.text).toBe(whole.text);
    expect(rest.end).toBe(whole.end);
    expect(rest.pieces.flatMap((one) => one.ids)).toEqual(whole.pieces.flatMap((one) => one.ids).slice(ids.length));
    expect(rest.usage?.completion_tokens).toBe((whole.usage?.completion_tokens ?? 0) - ids.length);
  }
}

test('an answer goes on from its tokens as if it had never been broken off, wherever that was', () => expectSame({}));

test('penalties count what was there before', () =>
  expectSame({ frequency_penalty: 1.5, presence_penalty: 0.5, repetition_penalty: 1.3 }));

test('a stop text that begins before the break and ends after it still ends the answer', async () => {
  const { text } = await answer({});
  const stop = text.slice(20, 31);
  await expectSame({ stop });
  expect((await answer({ stop })).text).toBe(text.slice(0, text.indexOf(stop)));
});

test('an answer goes on from its text where the tokens are not known: from those that the tokenizer makes of it', async () => {
  const whole = await answer({});
  const content = whole.text.slice(0, 40);
  const { tokens } = JSON.parse((await engine.post('/tokenize', { content })).text) as { tokens: number[] };
  const { text, usage } = await answer({ continue_text: content, max_tokens: 4 });
  expect({ text, usage }).toEqual(await answer({ continue_token_ids: tokens, max_tokens: 4 }).then(onlyThose));
});

const onlyThose = ({ text, usage }: Awaited<ReturnType<typeof answer>>) => ({ text, usage });

test('tokens that are not in the vocabulary are refused by name', async () => {
  const { status, text } = await engine.post('/v1/chat/completions', {
    messages: MESSAGES,
    continue_token_ids: [10_000_000],
  });
  expect(status).toBe(400);
  expect(text).toContain('continue_token_ids');
});
