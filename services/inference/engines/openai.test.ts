import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { attachOpenAi, chatRequest, type OpenAiAttachment } from '../../../test/engines/openai-attachment.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { openAiEngine } from './openai.ts';
import type { OpenAiEntry } from './openai-entry.ts';

let openai: OpenAiAttachment;
beforeAll(async () => {
  openai = await attachOpenAi();
});
afterAll(() => openai.close());
beforeEach(() => openai.fake.script({}));

test('the key goes upstream, and so do extras', async () => {
  const keyed = openai.connect({ api_key_env: 'UPSTREAM_KEY' });
  const sink = new RecordingSink();
  keyed.generate(
    chatRequest({ temperature: 0, seed: 7n }, { engineOptions: { guided_regex: 'a+' } }),
    recordingCall(),
    sink,
  );
  expect(await sink.over).toBe('end');
  const { last } = await openai.fake.counts();
  expect(last?.headers.authorization).toBe('Bearer key-of-upstream');
  expect(last?.headers['x-request-id']).toBe('req_test');
  expect(last?.body).toMatchObject({ model: 'm', temperature: 0, seed: 7, guided_regex: 'a+', stream: true });
  await keyed.close();
});

test('the address that is shown is origin and path', () => {
  const entry = { name: 'a', engine: 'openai', base_url: 'https://x.test:8443/v1/' } as OpenAiEntry;
  expect(openAiEngine(entry).address).toBe('https://x.test:8443/v1');
  const hostile = { ...entry, base_url: 'http://a:hunter2@x.test/v1?key=hunter2#hunter2' };
  expect(openAiEngine(hostile).address).toBe('http://x.test/v1');
});

test('a probe tells the model and its context', async () => {
  const unnamed = openai.connect({ model: undefined });
  expect(await unnamed.probe(AbortSignal.timeout(1_000))).toEqual({ modelId: 'fake-model', contextTokens: 4096 });
  await openai.fake.script({ healthStatus: 500 });
  await expect(unnamed.probe(AbortSignal.timeout(1_000))).rejects.toThrow();
  await unnamed.close();
});

test('max_tokens is clipped to the context that the server tells', async () => {
  const unnamed = openai.connect({ model: undefined });
  await unnamed.probe(AbortSignal.timeout(5_000));
  for (const [maxTokens, given] of [
    [1_000_000, 4096],
    [7, 7],
  ]) {
    const sink = new RecordingSink();
    unnamed.generate(chatRequest({ maxTokens }), recordingCall(), sink);
    expect(await sink.over).toBe('end');
    expect((await openai.fake.counts()).last?.body.max_tokens).toBe(given);
  }
  await unnamed.close();
});

test('a server that refuses what does not fit beside the prompt is asked for what does, once', async () => {
  const ended = await openai.run({ contextTokens: 100 }, chatRequest({ maxTokens: 2048 }));
  expect(await ended.over).toBe('end');
  expect((await openai.fake.counts()).last?.body.max_tokens).toBe(95);
  // A prompt that does not fit by itself.
  expect((await openai.failure({ contextTokens: 5 }, chatRequest({ maxTokens: 2048 }))).reason).toBe(
    'CONTEXT_LENGTH_EXCEEDED',
  );
  const message = "This model's maximum context length is 100 tokens. However, your prompt contains 12 tokens.";
  const refusing = { status: 400, body: { error: { message } } };
  expect((await openai.failure(refusing, chatRequest({ maxTokens: 2048 }))).reason).toBe('CONTEXT_LENGTH_EXCEEDED');
});
