import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { type Prompt, PromptSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { embedOverOpenAi } from './embeddings.ts';
import { OpenAiConnection } from './openai-connection.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const text = (value: string): Prompt => create(PromptSchema, { input: { case: 'text', value } });

/** Embeds over a server that answers everything the same. */
async function embed(status: number, answer: unknown, inputs: readonly Prompt[] = [text('a'), text('b')]) {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connection = new OpenAiConnection(
    { baseUrl: new URL(`http://127.0.0.1:${port}/v1`) },
    { engine: 'e', capabilities: create(EngineCapabilitiesSchema), continuousUsage: false },
  );
  closers.push(async () => {
    await connection.close();
    server.close();
  });
  return await embedOverOpenAi(connection, { engine: 'e', modelId: 'm' })(
    inputs,
    undefined,
    AbortSignal.timeout(30_000),
  );
}

const vector = (index: number, ...embedding: number[]) => ({ index, embedding });

test('vectors come in the order of their inputs, whatever that of the answer', async () => {
  const data = [vector(1, 2, 3), vector(0, 0, 1)];
  expect(await embed(200, { data, usage: { prompt_tokens: 7 } })).toEqual({
    vectors: [
      [0, 1],
      [2, 3],
    ],
    promptTokens: 7,
  });
  expect((await embed(200, { data })).promptTokens).toBe(0);
});

test.each([
  ['too few', { data: [vector(0, 1)] }],
  ['one index twice', { data: [vector(0, 1), vector(0, 1)] }],
  ['an index beyond', { data: [vector(0, 1), vector(2, 1)] }],
  ['an index that is none', { data: [vector(0, 1), vector(-1, 1)] }],
  ['text', { data: [vector(0, 1), { index: 1, embedding: 'AAAA' }] }],
  ['an empty vector', { data: [vector(0, 1), vector(1)] }],
  ['nothing', null],
])('an answer with %s is ENGINE_FAILED', async (_name, answer) => {
  await expect(embed(200, answer)).rejects.toMatchObject({ reason: 'ENGINE_FAILED' });
});

test('no such route is UNSUPPORTED_FIELD; a route that refuses is what it says', async () => {
  await expect(embed(404, { detail: 'Not Found' })).rejects.toMatchObject({
    reason: 'UNSUPPORTED_FIELD',
    metadata: { field: 'embeddings' },
  });
  const missing = { error: { message: 'The model `m` does not exist.', type: 'NotFoundError', code: 404 } };
  await expect(embed(404, missing)).rejects.toMatchObject({ reason: 'ENGINE_FAILED' });
  const refused = {
    error: { message: 'Model does not support matryoshka', type: 'BadRequestError', param: 'dimensions' },
  };
  await expect(embed(400, refused)).rejects.toMatchObject({
    reason: 'INVALID_FIELD',
    metadata: { field: 'dimensions' },
  });
  await expect(embed(503, {})).rejects.toMatchObject({ reason: 'ENGINE_BUSY' });
});

test('conversations and mixed inputs are refused by name', async () => {
  const chat = create(PromptSchema, {
    input: {
      case: 'chat',
      value: { messages: [{ role: Role.USER, parts: [{ part: { case: 'text', value: 'x' } }] }] },
    },
  });
  const ids = create(PromptSchema, { input: { case: 'tokenIds', value: { ids: [1] } } });
  await expect(embed(200, {}, [text('a'), chat])).rejects.toMatchObject({ metadata: { field: 'inputs.1.chat' } });
  await expect(embed(200, {}, [text('a'), ids])).rejects.toMatchObject({ metadata: { field: 'inputs.1' } });
  await expect(embed(200, {}, [create(PromptSchema)])).rejects.toMatchObject({ metadata: { field: 'inputs.0' } });
});
