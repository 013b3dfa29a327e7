import { getLlama, type Token } from 'node-llama-cpp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type EmbeddedEngine,
  RANDOM_MODEL,
  startEmbeddedEngine,
  streamChunks,
} from '../../../test/fixtures/embedded-engine.ts';

type ChatEntry = {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
};
type CompletionLogprobs = {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  text_offset: number[];
  bytes: number[][];
};
type Choice = {
  text: string;
  finish_reason: string;
  token_ids: number[];
  logprobs: CompletionLogprobs | null;
  message: { content: string };
};

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startEmbeddedEngine();
});
afterAll(() => engine.stop());

/** Everything that changes what is sampled, and must not change what is told about it. */
const WILD = { temperature: 2, frequency_penalty: 2, repetition_penalty: 1.5, top_k: 400, top_p: 0.9999, seed: 3 };

async function complete(fields: object): Promise<Choice> {
  const options = { prompt: 'the river', temperature: 0, max_tokens: 20, return_token_ids: true, ...fields };
  const { text } = await engine.post('/v1/completions', options);
  const [choice] = (JSON.parse(text) as { choices: Choice[] }).choices;
  if (choice === undefined) throw new Error(text);
  return choice;
}
async function chat(fields: object) {
  const options = { messages: [{ role: 'user', content: 'the river' }], temperature: 0, max_tokens: 30, ...fields };
  const { text } = await engine.post('/v1/chat/completions', { logprobs: true, top_logprobs: 5, ...options });
  const [choice] = (
    JSON.parse(text) as { choices: { message: { content: string }; logprobs: { content: ChatEntry[] } }[] }
  ).choices;
  if (choice === undefined) throw new Error(text);
  return { content: choice.message.content, entries: choice.logprobs.content };
}
async function tokenize(text: string): Promise<number[]> {
  return (JSON.parse((await engine.post('/tokenize', { content: text })).text) as { tokens: number[] }).tokens;
}

/** The whole distribution after a prompt, as the library's own interface tells it. */
async function reference(prompt: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false });
  const model = await llama.loadModel({ modelPath: RANDOM_MODEL, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: 512, flashAttention: false });
  const sequence = context.getSequence();
  const last = prompt.at(-1) as Token;
  const [...answers] = await sequence.controlledEvaluate([
    ...(prompt.slice(0, -1) as Token[]),
    [last, { generateNext: { probabilities: true, options: { temperature: 0 } } }],
  ]);
  const probabilities = answers.at(-1)?.next.probabilities;
  await llama.dispose();
  if (probabilities === undefined) throw new Error('no probabilities');
  return probabilities;
}

test('each token of the vocabulary has the probability that the raw logits give, even when it is forced', async () => {
  const prompt = await tokenize('the river');
  const expected = await reference(prompt);
  expect(expected.size).toBeGreaterThan(400);
  let sum = 0;
  for (const [token, probability] of expected) {
    // A bias that the greedy sampler cannot resist, penalties, and an own logprob that is not in the top.
    const { logprobs, token_ids } = await complete({ max_tokens: 1, logprobs: 0, logit_bias: { [token]: 100 } });
    // The ends of a generation are told by nothing.
    if (logprobs?.tokens.length !== 1) {
      sum += probability;
      continue;
    }
    expect(token_ids).toEqual([token]);
    const [logprob = 0] = logprobs.token_logprobs;
    expect(logprob).toBeCloseTo(Math.log(probability), 3);
    sum += Math.exp(logprob);
  }
  expect(Math.abs(sum - 1)).toBeLessThan(1e-3);
});

test('temperature, bias, penalties and cuts change what is sampled and nothing that is told', async () => {
  const wild = await complete({ ...WILD, logprobs: 20, logit_bias: { 300: 5 }, max_tokens: 25, ignore_eos: true });
  const prompt = await tokenize('the river');
  let fromTheTop = 0;
  for (const [index, token] of wild.token_ids.entries()) {
    const prefix = [...prompt, ...wild.token_ids.slice(0, index)];
    const forced = await complete({ prompt: prefix, max_tokens: 1, logprobs: 20, logit_bias: { [token]: 100 } });
    const plain = await complete({ prompt: prefix, max_tokens: 1, logprobs: 20 });
    expect(forced.logprobs?.token_logprobs[0]).toBeCloseTo(wild.logprobs?.token_logprobs[index] ?? 0, 3);
    const top = wild.logprobs?.top_logprobs[index] ?? {};
    const plainTop = plain.logprobs?.top_logprobs[0] ?? {};
    expect(Object.keys(top)).toHaveLength(20);
    for (const [name, logprob] of Object.entries(plainTop)) expect(top[name]).toBeCloseTo(logprob, 3);
    if ((wild.logprobs?.tokens[index] ?? '') in top) fromTheTop++;
  }
  // The point of it: many of the sampled tokens are none of the likeliest.
  expect(fromTheTop).toBeLessThan(20);
});

test('the greedy token is the likeliest, and the alternatives fall', async () => {
  const { content, entries } = await chat({});
  expect(Buffer.from(entries.flatMap(({ bytes }) => bytes)).toString()).toBe(content);
  for (const entry of entries) {
    expect(entry.top_logprobs).toHaveLength(5);
    expect(entry.top_logprobs[0]).toEqual({ token: entry.token, logprob: entry.logprob, bytes: entry.bytes });
    const logprobs = entry.top_logprobs.map(({ logprob }) => logprob);
    expect(logprobs).toEqual(logprobs.toSorted((left, right) => right - left));
    expect(logprobs.every((logprob) => logprob <= 0)).toBe(true);
  }
});

test('a stream tells the same, each token beside its text', async () => {
  const { entries } = await chat({});
  const body = { messages: [{ role: 'user', content: 'the river' }], temperature: 0, max_tokens: 30, stream: true };
  const { text } = await engine.post('/v1/chat/completions', { ...body, logprobs: true, top_logprobs: 5 });
  const choices = streamChunks(text).flatMap(
    (chunk) => chunk.choices as unknown as { delta: { content?: string }; logprobs: { content: ChatEntry[] } | null }[],
  );
  expect(choices.flatMap(({ logprobs }) => logprobs?.content ?? [])).toEqual(entries);
  for (const { delta, logprobs } of choices) {
    expect(Buffer.from((logprobs?.content ?? []).flatMap(({ bytes }) => bytes)).toString()).toBe(delta.content ?? '');
  }
});

test('without alternatives there is the token alone, without asking nothing', async () => {
  const { entries } = await chat({ top_logprobs: 0 });
  expect(entries.every(({ top_logprobs }) => top_logprobs.length === 0)).toBe(true);
  expect((await complete({ logprobs: 0 })).logprobs?.top_logprobs[0]).toEqual({});
  expect((await complete({})).logprobs).toBeNull();
  expect((await complete({ logprobs: false })).logprobs).toBeNull();
});

test('tokens inside a character have its bytes, escaped names, and one place in the text', async () => {
  // The model itself goes on from the first byte.
  const [firstByte] = await tokenize('🙂');
  const bias = { [String(firstByte)]: 4 };
  const { text, logprobs } = await complete({ max_tokens: 40, logprobs: 1, logit_bias: bias });
  const begin = logprobs?.tokens.indexOf('bytes:\\xf0') ?? -1;
  const four = <T>(list: readonly T[] | undefined): readonly T[] => list?.slice(begin, begin + 4) ?? [];
  expect(four(logprobs?.tokens)).toEqual(['bytes:\\xf0', 'bytes:\\x9f', 'bytes:\\x99', 'bytes:\\x82']);
  expect(four(logprobs?.bytes).flat()).toEqual([...Buffer.from('🙂')]);
  const place = text.indexOf('🙂');
  expect(place).toBeGreaterThan(-1);
  expect(four(logprobs?.text_offset)).toEqual([place, place, place, place]);
  const { content, entries } = await chat({ max_tokens: 40, logit_bias: bias });
  expect(content).toContain('🙂');
  expect(entries.map(({ token }) => token).join('|')).toContain('\\xf0|\\x9f|\\x99|\\x82');
});

test('offsets say where each token begins', async () => {
  const { text, logprobs } = await complete({ logprobs: 1 });
  for (const [index, token] of (logprobs?.tokens ?? []).entries()) {
    expect(text.startsWith(token, logprobs?.text_offset[index])).toBe(true);
  }
});

test('what a stop string withholds is told by nothing, and what it held back comes with its text', async () => {
  const { text, logprobs } = await complete({ logprobs: 1 });
  const stop = text.slice(14, 22);
  const before = text.slice(0, text.indexOf(stop));
  const stopped = await complete({ logprobs: 1, stop });
  expect(stopped).toMatchObject({ text: before, finish_reason: 'stop' });
  const kept = stopped.logprobs?.tokens ?? [];
  expect(kept).toEqual(logprobs?.tokens.slice(0, kept.length));
  expect(kept.join('').startsWith(before)).toBe(true);
  expect(kept.slice(0, -1).join('').length).toBeLessThan(before.length);
  // Its first letters match at every "t", so most pieces are held back for a while.
  const held = await complete({ logprobs: 1, stop: ['the never', ' never'] });
  expect(held.logprobs?.tokens.join('')).toBe(held.text);
});

test('many streams with and without are told their own', async () => {
  const alone = (await complete({ logprobs: 3 })).logprobs;
  const together = await Promise.all(
    [0, 1, 2, 3, 4, 5, 6, 7].map((index) => complete(index % 2 === 0 ? { logprobs: 3 } : { ...WILD, seed: index })),
  );
  for (const [index, { logprobs }] of together.entries()) {
    if (index % 2 === 1) {
      expect(logprobs).toBeNull();
      continue;
    }
    expect(logprobs?.tokens).toEqual(alone?.tokens);
    for (const [place, logprob] of (logprobs?.token_logprobs ?? []).entries()) {
      expect(logprob).toBeCloseTo(alone?.token_logprobs[place] ?? 1, 3);
    }
  }
});
