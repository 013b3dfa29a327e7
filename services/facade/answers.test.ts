import { afterEach, expect, test } from 'vitest';
import { MeshError } from '../shared/errors/mesh-error.ts';
import {
  CHAT,
  event,
  jsonEvents,
  KEY,
  LIMITS,
  shortAnswer,
  startFacade,
  type TestFacade,
  type TestOptions,
} from './test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

const start = async (options?: TestOptions): Promise<void> => {
  facade = await startFacade(options);
};

test('a chat answer in one piece, with ids and rate-limit headers', async () => {
  await start();
  const response = await facade.post('/v1/chat/completions', CHAT, { 'x-request-id': 'abc_1' });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    id: 'chatcmpl-abc_1',
    model: 'tiny',
    choices: [{ message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
  });
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'x-request-id': 'abc_1',
    'x-ratelimit-limit-minute': '30',
    'x-ratelimit-remaining-minute': '29',
    'x-ratelimit-limit-hour': '2147483647',
    'x-ratelimit-remaining-tokens': '2147483647',
    'x-ratelimit-reset-requests': '1m0s',
  });
  expect(facade.generations[0]?.call).toMatchObject({ requestId: 'abc_1', credential: KEY, clientIp: '127.0.0.1' });
});

test('a chat stream: role first, finish, usage when asked, [DONE]', async () => {
  await start();
  const body = { ...CHAT, stream: true, stream_options: { include_usage: true } };
  const response = await facade.post('/v1/chat/completions', body);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    'x-request-id': expect.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
    'x-ratelimit-remaining-minute': '29',
  });
  const text = await response.text();
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(jsonEvents(text)).toMatchObject([
    { choices: [{ delta: { role: 'assistant', content: 'Hel' } }] },
    { choices: [{ delta: { content: 'lo' } }] },
    { choices: [{ delta: {}, finish_reason: 'stop' }] },
    { choices: [], usage: { total_tokens: 9 } },
  ]);
});

test('a text completion, in one piece and as a stream, with X-API-Key', async () => {
  await start();
  const headers = { 'X-API-Key': KEY, authorization: `bearer ${KEY}` };
  const whole = await facade.post('/v1/completions', { model: 'tiny', prompt: 'Once' }, headers);
  expect(await whole.json()).toMatchObject({ id: expect.stringMatching(/^cmpl-/), choices: [{ text: 'Hello' }] });
  const stream = await facade.post('/v1/completions', { model: 'tiny', prompt: 'Once', stream: true });
  expect(jsonEvents(await stream.text())).toMatchObject([
    { object: 'text_completion', choices: [{ text: 'Hel' }] },
    { choices: [{ text: 'lo' }] },
    { choices: [{ finish_reason: 'stop' }] },
  ]);
});

test('a failure before the first delta keeps its status, in a stream too', async () => {
  await start({
    script: ({ sink }) => {
      sink.event(event('started', { limits: LIMITS }));
      sink.fail(new MeshError('NO_HEALTHY_ENGINE', 'none is up', { retryAfterMs: 2500 }));
    },
  });
  const response = await facade.post('/v1/chat/completions', { ...CHAT, stream: true });
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('3');
  expect(await response.json()).toEqual({
    detail: 'No healthy backends',
    error: { message: 'No healthy backends', type: 'server_error', param: null, code: 'no_healthy_backends' },
  });
});

test('a failure after the first delta is an error event, and no [DONE] follows', async () => {
  await start({
    script: ({ sink }) => {
      sink.event(event('delta', { text: 'a' }));
      sink.fail(new MeshError('ENGINE_LOST', 'The engine broke off.'));
    },
  });
  const response = await facade.post('/v1/chat/completions', { ...CHAT, stream: true });
  expect(response.status).toBe(200);
  const text = await response.text();
  expect(text).not.toContain('[DONE]');
  expect(jsonEvents(text).at(-1)).toEqual({
    error: { message: 'The engine broke off.', type: 'server_error', param: null, code: 'engine_lost' },
  });
});

test('the head leaves after the silence with the last known limits, then comments fill every silence', async () => {
  await start({ config: { keep_alive_seconds: 0.05 }, script: () => undefined });
  const response = await facade.post('/v1/chat/completions', { ...CHAT, stream: true });
  expect(response.status).toBe(200);
  expect(response.headers.get('x-ratelimit-limit-minute')).toBe('30');
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (reader && text.split(': keep-alive\n\n').length < 4) text += (await reader.read()).value;
  const [generation] = facade.generations;
  if (generation) shortAnswer(generation);
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value;
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(jsonEvents(text)).toHaveLength(3);
});

test('a router that throws is our fault, and says nothing of its cause', async () => {
  await start({
    script: () => {
      throw new Error('secret path');
    },
  });
  const response = await facade.post('/v1/chat/completions', CHAT);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('secret');
});

test('events after the end change nothing', async () => {
  await start({
    script: (generation) => {
      shortAnswer(generation);
      generation.sink.event(event('delta', { text: 'late' }));
      generation.sink.fail(new MeshError('INTERNAL', 'late'));
      generation.sink.end();
    },
  });
  const text = await (await facade.post('/v1/chat/completions', { ...CHAT, stream: true })).text();
  expect(text).not.toContain('late');
});

test('closing the facade ends open streams with an error event', async () => {
  await start({ script: ({ sink }) => sink.event(event('delta', { text: 'a' })) });
  const response = await facade.post('/v1/chat/completions', { ...CHAT, stream: true });
  await Promise.all([facade.close(), expect(response.text()).resolves.toContain('"code":"shutting_down"')]);
});

test('models: list, one by any of its names, bare and encoded slashes, unknown', async () => {
  await start();
  const list = await facade.call('/v1/models');
  expect(list.headers.get('x-ratelimit-limit-minute')).toBe('30');
  expect(await list.json()).toMatchObject({
    object: 'list',
    data: [{ id: 'org/tiny-1', object: 'model', owned_by: 'inference-mesh', max_model_len: 2048 }],
  });
  for (const id of ['org/tiny-1', 'org%2Ftiny-1', 'tiny']) {
    const one = await facade.call(`/v1/models/${id}`);
    expect(await one.json()).toMatchObject({ id: decodeURIComponent(id), root: 'org/tiny-1' });
  }
  const unknown = await facade.call('/v1/models/nope');
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
});
