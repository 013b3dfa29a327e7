import { afterEach, expect, test } from 'vitest';
import type { EmbedRequest } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { toConnectError } from '../shared/errors/connect-error.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { CLIENT_IP_HEADER } from '../shared/transport/mesh-headers.ts';
import { KEY, LIMITS, startFacade, type TestFacade, type TestOptions, until } from './test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

const VECTORS = [
  [0.1, -2.5, 3],
  [1e-8, 0, 1],
];

/** A facade whose router answers so; keeps the last request. */
async function started(embed?: TestOptions['embed']): Promise<{ asked: () => EmbedRequest | undefined }> {
  let asked: EmbedRequest | undefined;
  const answering: TestOptions['embed'] = (request) => {
    asked = request;
    const embeddings = request.inputs.map((_, index) => ({ values: VECTORS[index % 2] ?? [] }));
    return { embeddings, promptTokens: 9, modelId: 'org/embedder', limits: LIMITS };
  };
  facade = await startFacade({ embed: embed ?? answering });
  return { asked: () => asked };
}

const floatsOf = (base64: string): number[] => {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
};

test('lists of numbers unless base64 is asked for, with usage and limits', async () => {
  await started();
  const answer = await facade.post('/v1/embeddings', { model: 'tiny', input: ['a', 'b'] });
  expect(answer.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  const whole = (await answer.json()) as { data: { embedding: number[] }[] };
  expect(whole).toMatchObject({
    object: 'list',
    data: VECTORS.map((_, index) => ({ object: 'embedding', index })),
    model: 'tiny',
    usage: { prompt_tokens: 9, total_tokens: 9 },
  });
  const told = whole.data.map(({ embedding }) => new Float32Array(embedding));
  expect(told).toEqual(VECTORS.map((values) => new Float32Array(values)));
  const coded = await facade.post('/v1/embeddings', { input: 'a', encoding_format: 'base64' });
  const { data, model } = (await coded.json()) as { data: { embedding: string }[]; model: string };
  expect(floatsOf(data[0]?.embedding ?? '')).toEqual([...new Float32Array(VECTORS[0] ?? [])]);
  // Nothing was asked for by name, so the model itself is told.
  expect(model).toBe('org/embedder');
});

test.each([
  ['a text', 'one', [['text', 'one']]],
  ['texts', ['one', 'two'], [['text', 'one'], ['text', 'two']]], // biome-ignore format: a table
  ['token ids', [1, 2], [['tokenIds', [1, 2]]]],
  ['lists of token ids', [[1, 2], [3]], [['tokenIds', [1, 2]], ['tokenIds', [3]]]], // biome-ignore format: a table
])('%s', async (_, input, expected) => {
  const { asked } = await started();
  expect((await facade.post('/v1/embeddings', { input, dimensions: 2, user: 'u', store: true })).status).toBe(200);
  const inputs = asked()?.inputs.map(({ input: { case: kind, value } }) => [
    kind,
    kind === 'tokenIds' ? value.ids : value,
  ]);
  expect(inputs).toEqual(expected);
  expect(asked()?.dimensions).toBe(2);
});

test.each([
  ['no input', {}, 'input'],
  ['an empty text', { input: '' }, 'input'],
  ['an empty list', { input: [] }, 'input'],
  ['an empty text among others', { input: ['a', ''] }, 'input.1'],
  ['an empty list of tokens', { input: [[1], []] }, 'input.1'],
  ['texts and tokens', { input: ['a', [1]] }, 'input.1'],
  ['too many', { input: Array.from({ length: 2049 }, () => 'a') }, 'input'],
  ['another format', { input: 'a', encoding_format: 'int8' }, 'encoding_format'],
  ['no dimensions', { input: 'a', dimensions: 0 }, 'dimensions'],
  ['a field that nobody knows', { input: 'a', truncate_prompt_tokens: 5 }, 'truncate_prompt_tokens'],
])('%s is refused by name', async (_, body, param) => {
  const { asked } = await started();
  const answer = await facade.post('/v1/embeddings', body);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { param, type: 'invalid_request_error' } });
  expect(asked()).toBeUndefined();
});

test('what the mesh complains about has the names of the body', async () => {
  const refusals = [
    new MeshError('UNSUPPORTED_FIELD', "The model 'm' makes no vectors ('embeddings').", {
      metadata: { field: 'embeddings' },
    }),
    new MeshError('INVALID_FIELD', 'inputs.3: must be a text', { metadata: { field: 'inputs.3' } }),
    new MeshError('RATE_LIMIT_EXCEEDED', 'Rate limit exceeded.', { retryAfterMs: 61_000 }),
  ];
  await started(() => {
    throw toConnectError(refusals.shift());
  });
  const ask = async () => await facade.post('/v1/embeddings', { input: 'a' });
  expect(await (await ask()).json()).toMatchObject({ error: { param: 'model', code: 'unsupported_parameter' } });
  expect(await (await ask()).json()).toMatchObject({ error: { param: 'input.3', message: 'input.3: must be a text' } });
  const limited = await ask();
  expect([limited.status, limited.headers.get('retry-after'), limited.headers.get('x-should-retry')]).toEqual([
    429,
    '61',
    'false',
  ]);
});

test('an engine cannot be named', async () => {
  await started();
  const answer = await facade.post('/v1/embeddings', { input: 'a' }, { 'x-mesh-engine': 'a' });
  expect(await answer.json()).toMatchObject({ error: { param: 'x-mesh-engine' } });
});

test('it is asked in the name of the caller, from his address, and told when he leaves', async () => {
  let left = false;
  let headers = new Headers();
  await started((_request, { signal, requestHeader }) => {
    headers = requestHeader;
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        left = true;
        reject(signal.reason);
      });
    });
  });
  const leaving = new AbortController();
  const call = facade.call('/v1/embeddings', {
    method: 'POST',
    body: JSON.stringify({ input: 'a' }),
    headers: { 'content-type': 'application/json' },
    signal: leaving.signal,
  });
  await until(() => headers.has('authorization'), 'the router is asked');
  expect([headers.get('authorization'), headers.get(CLIENT_IP_HEADER)]).toEqual([`Bearer ${KEY}`, '127.0.0.1']);
  leaving.abort();
  await expect(call).rejects.toThrow();
  await until(() => left, 'the router is told');
});
