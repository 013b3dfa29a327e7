import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readGgufMetadata } from '../../services/inference/embedded/gguf-metadata.ts';
import { type EmbeddedEngine, spawnEmbeddedEngine, until } from '../../test/fixtures/embedded-engine.ts';

const file = join(import.meta.dirname, 'mesh-demo.gguf');

test('the file is small and has what an engine needs in its metadata', () => {
  expect(statSync(file).size).toBeLessThanOrEqual(8_000_000);
  const { values } = readGgufMetadata(file);
  expect(values.get('general.architecture')).toBe('llama');
  expect(values.get('llama.context_length')).toBeGreaterThanOrEqual(1_024);
  expect(values.get('tokenizer.ggml.model')).toBe('gpt2');
  expect(values.get('tokenizer.chat_template')).toContain('add_generation_prompt');
});

describe('llama.cpp', () => {
  let engine: EmbeddedEngine;
  beforeAll(async () => {
    engine = await spawnEmbeddedEngine(['--model', file, '--gpu', 'none']);
    await until(() => engine.events.some(({ event }) => event === 'ready'));
  });
  afterAll(() => engine.stop());

  test('splits text into the tokens that the model was trained with', async () => {
    const cases: { text: string; tokens: number[] }[] = JSON.parse(
      readFileSync(join(import.meta.dirname, 'tokenizer-cases.json'), 'utf8'),
    );
    expect(cases.length).toBeGreaterThan(4);
    for (const { text, tokens } of cases) {
      const { text: answer } = await engine.post('/tokenize', { content: text });
      const [begin, ...rest] = JSON.parse(answer).tokens as number[];
      expect(begin).toBe(0);
      expect([text, rest]).toEqual([text, tokens]);
    }
  });

  test('renders a chat as the model was trained', async () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello!' },
    ];
    const chat = JSON.parse((await engine.post('/tokenize', { messages })).text).tokens as number[];
    const plain = async (content: string): Promise<number[]> =>
      (JSON.parse((await engine.post('/tokenize', { content })).text).tokens as number[]).slice(1);
    // begin 0, end of turn 1, system 2, user 3, assistant 4: the first tokens of the vocabulary.
    expect(chat).toEqual([0, 2, ...(await plain('Be brief.')), 1, 3, ...(await plain('Hello!')), 1, 4]);
  });

  test('completes a bare text', async () => {
    const body = { prompt: 'The capital of France is', temperature: 0, max_tokens: 16 };
    const { text } = await engine.post('/v1/completions', body);
    expect(JSON.parse(text).choices[0]).toMatchObject({ text: ' Paris.', finish_reason: 'stop' });
  });
});
