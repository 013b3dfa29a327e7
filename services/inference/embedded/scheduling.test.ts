import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import {
  type EmbeddedEngine,
  responseOf,
  startEmbeddedEngine,
  streamChunks,
  streamText,
  until,
} from '../../../test/fixtures/embedded-engine.ts';

let engine: EmbeddedEngine;
afterEach(() => engine.stop());

const LONG = { temperature: 0, max_tokens: 4000 };
const prompts = ['the river', 'hello', 'what is the sun', 'a dog', '1+1?', 'x', 'wind and water', 'tell me'];
/** Takes a while to prefill: so many tokens, none shared with another salt. */
const longPrompt = (salt: number, length = 4000) =>
  Array.from({ length }, (_, index) => 260 + ((index * 7 + salt) % 200));
/** A counter of the engine's metrics. */
const counted = async (name: string) =>
  Number(new RegExp(`^llamacpp:${name} (\\d+)$`, 'm').exec((await engine.get('/metrics')).text)?.[1]);

async function answer(prompt: unknown, fields: object = {}): Promise<string> {
  const { text } = await engine.post('/v1/completions', { prompt, temperature: 0, max_tokens: 60, ...fields });
  return JSON.parse(text).choices[0].text as string;
}
async function readAll(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}

test('streams decode side by side and say what they say alone', async () => {
  engine = await startEmbeddedEngine();
  const alone: string[] = [];
  for (const prompt of prompts) alone.push(await answer(prompt));
  const stepsAlone = await counted('n_decode_total');
  const fields = { temperature: 0, max_tokens: 60, stream: true };
  const together = await Promise.all(
    prompts.map(async (prompt) => {
      const response = await responseOf(engine.open('/v1/completions', { prompt, ...fields }));
      return streamText(streamChunks(await readAll(response)));
    }),
  );
  expect(together).toEqual(alone);
  // Had they run one after the other, it would be as many steps as alone.
  expect((await counted('n_decode_total')) - stepsAlone).toBeLessThan(stepsAlone / 2);
});

test('prompts of many lengths that end in one step get their own first tokens', async () => {
  engine = await startEmbeddedEngine();
  for (let round = 0; round < 5; round++) {
    const mixed = [60, 25, 50, 20, 55, 30, 40].map((length, index) => longPrompt(round * 100 + index).slice(0, length));
    // Two full steps; what arrives meanwhile is taken together.
    const before = answer(longPrompt(round).slice(0, 1024), { max_tokens: 1 });
    await until(async () => (await engine.running()) === 1);
    const together = await Promise.all(mixed.map((prompt) => answer(prompt, { max_tokens: 1 })));
    await before;
    const alone: string[] = [];
    for (const prompt of mixed) alone.push(await answer(prompt, { max_tokens: 1 }));
    expect(together).toEqual(alone);
  }
});

test('what is more than the sequences waits, and is served in order', async () => {
  engine = await startEmbeddedEngine(['--sequences', '2']);
  const finished: number[] = [];
  const lengths = [3000, 3000, 5, 5, 5];
  const all = lengths.map(async (max_tokens, index) => {
    await answer('the river', { max_tokens });
    finished.push(index);
  });
  await until(async () => {
    const { text } = await engine.get('/health');
    return /"requests_running":2,"requests_waiting":3/.test(text);
  });
  await Promise.all(all);
  expect(finished.slice(-3)).not.toEqual([]);
  expect(finished.filter((index) => index >= 2)).toEqual([2, 3, 4]);
});

test('a full queue refuses with a time to come back', async () => {
  engine = await startEmbeddedEngine(['--sequences', '1']);
  const body = { prompt: 'the river', ...LONG };
  const open = Array.from({ length: 257 }, () => engine.open('/v1/completions', body));
  await until(async () => (await engine.get('/health')).text.includes('"requests_waiting":256'));
  const refused = await engine.post('/v1/completions', body);
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
  for (const request of open) request.destroy();
  await until(async () => (await engine.get('/health')).text.includes('"requests_running":0,"requests_waiting":0'));
});

test('a sequence that is used again knows nothing of its past', async () => {
  engine = await startEmbeddedEngine(['--sequences', '1']);
  const fresh = await answer('hello');
  await answer('the river and the stone and the sea', { max_tokens: 300 });
  expect(await answer('hello')).toBe(fresh);
  // A prompt that shares its beginning with the sequence reuses it, to the same effect.
  await answer('hello there, how is the sea');
  expect(await answer('hello')).toBe(fresh);
});

test.each([
  ['before the first token', 1],
  ['during the prefill of many', 8],
])('a client that leaves %s stops its generation', async (_name, count) => {
  // Many seconds of prefill each, so that the engine is not done before the clients leave.
  const promptTokens = 15_000;
  engine = await startEmbeddedEngine(['--context', '16384']);
  const open = Array.from({ length: count }, (_, salt) =>
    engine.open('/v1/completions', { prompt: longPrompt(salt, promptTokens), max_tokens: 90, stream: true }),
  );
  let answered = 0;
  for (const request of open) request.on('response', () => answered++);
  await until(async () => (await engine.running()) === count);
  for (const request of open) request.destroy();
  await until(async () => (await engine.running()) === 0);
  expect(await counted('prompt_tokens_total')).toBeLessThan(promptTokens);
  expect(await counted('tokens_predicted_total')).toBe(0);
  expect(answered).toBe(0);
});

test('a client that leaves in the middle of a stream stops its generation, and no other', async () => {
  engine = await startEmbeddedEngine();
  const alone = await answer('hello', { max_tokens: 3000 });
  const other = answer('hello', { max_tokens: 3000 });
  const leaving = engine.open('/v1/completions', { prompt: 'the river', ...LONG, stream: true });
  await once(await responseOf(leaving), 'data');
  expect(await engine.running()).toBe(2);
  leaving.destroy();
  await until(async () => (await engine.running()) <= 1);
  expect(await other).toBe(alone);
});

test('a client that leaves a call without stream stops its generation', async () => {
  const maxTokens = 20_000;
  engine = await startEmbeddedEngine(['--context', '32768']);
  const leaving = engine.open('/v1/completions', { prompt: 'the river', ...LONG, max_tokens: maxTokens });
  await until(async () => (await engine.running()) === 1);
  leaving.destroy();
  await until(async () => (await engine.running()) === 0);
  expect(await counted('tokens_predicted_total')).toBeLessThan(maxTokens);
});

test('a client that waits in the queue and leaves is forgotten', async () => {
  engine = await startEmbeddedEngine(['--sequences', '1']);
  const first = engine.open('/v1/completions', { prompt: 'the river', ...LONG });
  await until(async () => (await engine.running()) === 1);
  const waiting = engine.open('/v1/completions', { prompt: 'hello', ...LONG });
  await until(async () => (await engine.get('/health')).text.includes('"requests_waiting":1'));
  waiting.destroy();
  await until(async () => (await engine.get('/health')).text.includes('"requests_waiting":0'));
  first.destroy();
  await until(async () => (await engine.running()) === 0);
});

test('a client that does not read pauses its own generation and nobody else', async () => {
  engine = await startEmbeddedEngine();
  const slow = await responseOf(
    engine.open('/v1/completions', { prompt: 'the river', ...LONG, stream: true, return_token_ids: true }),
  );
  // The same length of work as the whole stream, several times over.
  for (let round = 0; round < 3; round++) await answer('hello', { max_tokens: 4000 });
  expect(await engine.running()).toBe(1);
  const chunks = streamChunks(await readAll(slow));
  expect(chunks.flatMap((chunk) => chunk.choices[0]?.token_ids ?? [])).toHaveLength(4000);
  expect(await engine.running()).toBe(0);
});
