import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Ajv2020 } from 'ajv/dist/2020.js';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';

const messages = [{ role: 'user' as const, content: 'Hello there.' }];
const CARD = {
  type: 'object',
  properties: {
    title: { type: 'string', maxLength: 10 },
    rank: { type: 'integer', minimum: 1, maximum: 9 },
    next: { anyOf: [{ $ref: '#/$defs/link' }, { type: 'null' }] },
  },
  required: ['title', 'rank', 'next'],
  additionalProperties: false,
  $defs: { link: { type: 'object', properties: { to: { enum: ['sea', 'river'] } }, required: ['to'] } },
};
const isCard = new Ajv2020({ strict: false }).compile(CARD);
const byCard = { type: 'json_schema' as const, json_schema: { name: 'card', schema: CARD, strict: true } };

// The official SDK, and gRPC, against the embedded engine.
describe.each(arrangements())('the embedded engine through the mesh, %s', (arrangement) => {
  let mesh: TestMesh;
  let client: OpenAI;
  let base: { model: string; messages: typeof messages; max_tokens: number; temperature: number };
  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', RANDOM_MODEL] });
    client = new OpenAI({ baseURL: `${mesh.url}/v1`, apiKey: mesh.adminKey, maxRetries: 0 });
    base = { model: (await client.models.list()).data[0]?.id ?? '', messages, max_tokens: 24, temperature: 0 };
  });
  afterAll(() => mesh.stop());

  test('a chat tells log-probabilities, whole and as a stream', async () => {
    const asked = { ...base, logprobs: true, top_logprobs: 3 };
    const whole = (await client.chat.completions.create(asked)).choices[0];
    const content = whole?.logprobs?.content ?? [];
    expect(content).toHaveLength(24);
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(whole?.message.content);
    for (const { token, logprob, top_logprobs } of content) {
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
      expect(logprob).toBeLessThanOrEqual(0);
    }
    const streamed: unknown[] = [];
    for await (const { choices } of await client.chat.completions.create({ ...asked, stream: true })) {
      streamed.push(...(choices[0]?.logprobs?.content ?? []));
    }
    expect(streamed).toEqual(content);
  });

  test('a completion tells them in its own form', async () => {
    const { model, temperature } = base;
    const asked = { model, temperature, prompt: 'the river', max_tokens: 8, logprobs: 2 };
    const choice = (await client.completions.create(asked)).choices[0];
    expect(choice?.logprobs?.tokens?.join('')).toBe(choice?.text);
    expect(choice?.logprobs?.token_logprobs).toHaveLength(8);
    expect(choice?.logprobs?.text_offset?.[0]).toBe(0);
    for (const top of choice?.logprobs?.top_logprobs ?? []) expect(Object.keys(top)).toHaveLength(2);
  });

  test('gRPC tells them with their bytes', async () => {
    const router = createClient(RouterService, createGrpcTransport({ baseUrl: mesh.url }));
    const request = {
      prompt: { input: { case: 'text' as const, value: 'the river' } },
      sampling: { maxTokens: 40, temperature: 0, logprobs: true, topLogprobs: 20 },
    };
    let text = '';
    const bytes: number[] = [];
    for await (const { event } of router.generate(request, { headers: { authorization: `Bearer ${mesh.adminKey}` } })) {
      if (event.case !== 'delta') continue;
      text += event.value.text;
      for (const entry of event.value.logprobs) {
        bytes.push(...entry.bytes);
        expect(entry.top).toHaveLength(20);
      }
    }
    expect(text).not.toBe('');
    expect(Buffer.from(bytes).toString()).toBe(text);
  });

  test('an answer by a schema fits it, whole and as a stream', async () => {
    for (const seed of [1, 2, 3]) {
      const asked = { ...base, temperature: 1, seed, max_tokens: 400, response_format: byCard };
      const whole = (await client.chat.completions.create(asked)).choices[0];
      expect(whole?.finish_reason).toBe('stop');
      expect(isCard(JSON.parse(whole?.message.content ?? '')), JSON.stringify(isCard.errors)).toBe(true);
      const runner = client.chat.completions.stream(asked);
      expect(await runner.finalContent()).toBe(whole?.message.content);
    }
  });

  test('what cannot be honoured is refused by name', async () => {
    const both = client.chat.completions.create({ ...base, logprobs: true, response_format: { type: 'json_object' } });
    await expect(both).rejects.toMatchObject({ status: 400, param: 'logprobs' });
    const schema = {
      type: 'object',
      properties: { a: { $ref: '#/$defs/b' } },
      $defs: { b: { type: 'string', pattern: 'x' } },
    };
    const format = { type: 'json_schema' as const, json_schema: { name: 'p', schema } };
    const pattern = client.chat.completions.create({ ...base, response_format: format });
    const param = 'response_format.json_schema.schema.$defs.b.pattern';
    await expect(pattern).rejects.toMatchObject({ status: 400, param, message: expect.stringContaining("'pattern'") });
  });
});
