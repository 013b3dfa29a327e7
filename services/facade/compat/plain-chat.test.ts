import { afterEach, expect, test } from 'vitest';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Reason } from '../../shared/errors/reasons.ts';
import { event, type Generation, jsonEvents, LIMITS, startFacade, type TestFacade } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

/** Tells an answer of two deltas of a model with an owner. */
function greeting({ sink, call }: Generation): void {
  const head = { requestId: call.requestId, model: 'chat', modelId: 'org/tiny-1', limits: LIMITS };
  sink.event(event('started', head));
  sink.event(event('delta', { text: 'Hel', completionTokens: 1 }));
  sink.event(event('delta', { text: 'lo', completionTokens: 2 }));
  sink.event(event('finished', { reason: 1 }));
  sink.event(event('usage', { promptTokens: 7, completionTokens: 2 }));
  sink.end();
}

const ANSWER = {
  response: 'Hello',
  timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/),
  model: 'tiny-1',
};

const sampling = () => facade.generations.at(-1)?.request.sampling;

test('a message is answered by the default model; what the body does not say is as documented', async () => {
  facade = await startFacade({ script: greeting });
  const answer = await facade.post('/chat', { message: 'Hello', model: 'ignored', max_tokens: null });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  expect(await answer.json()).toEqual(ANSWER);
  expect(facade.generations[0]?.request).toMatchObject({ model: '', sampling: { maxTokens: 1000, temperature: 0.7 } });
});

test('the defaults are those of the configuration', async () => {
  facade = await startFacade({ script: greeting, config: { chat: { max_tokens: 20, temperature: 0 } } });
  await facade.post('/chat', { message: 'Hello' });
  expect(sampling()).toMatchObject({ maxTokens: 20, temperature: 0 });
  await facade.post('/chat', { message: 'Hello', max_tokens: 2048, temperature: 1 });
  expect(sampling()).toMatchObject({ maxTokens: 2048, temperature: 1 });
});

test.each([
  [{}, 'message: this field is required'],
  [{ message: '' }, 'message: must not be empty'],
  [{ message: 5 }, 'message: expected string, received number'],
  [{ message: 'Hello', max_tokens: 0 }, 'max_tokens'],
  [{ message: 'Hello', max_tokens: 2049 }, 'max_tokens'],
  [{ message: 'Hello', max_tokens: 1.5 }, 'max_tokens'],
  [{ message: 'Hello', temperature: 1.1 }, 'temperature'],
  [{ message: 'Hello', temperature: -0.1 }, 'temperature'],
])('%j is 400 and says what is wrong', async (body, text) => {
  facade = await startFacade({ script: greeting });
  const answer = await facade.post('/chat', body);
  expect(answer.status).toBe(400);
  const told = (await answer.json()) as { detail: string; error: { param: string } };
  expect(told.detail).toContain(text);
  expect(told.error).toMatchObject({ message: told.detail, type: 'invalid_request_error', code: 'invalid_value' });
  expect(text.startsWith(told.error.param)).toBe(true);
});

test.each([
  ['ENGINE_FAILED', 502, 'Error generating response: What was wrong.'],
  ['INTERNAL', 500, 'Error generating response: What was wrong.'],
  ['NO_HEALTHY_ENGINE', 503, 'Error generating response: No healthy backends'],
  ['DEADLINE_EXCEEDED', 504, 'Error generating response: Gateway timeout'],
  ['CONTEXT_LENGTH_EXCEEDED', 400, 'What was wrong.'],
  ['RATE_LIMIT_EXCEEDED', 429, 'What was wrong.'],
] as readonly [Reason, number, string][])('%s is %i: %s', async (reason, status, detail) => {
  const script = ({ sink }: Generation) => sink.fail(new MeshError(reason, 'What was wrong.'));
  facade = await startFacade({ script });
  for (const stream of [false, true]) {
    const answer = await facade.post('/chat', { message: 'Hello', stream });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ detail, error: { message: detail } });
    expect(answer.headers.has('retry-after')).toBe(status === 429 || status === 503);
  }
});

test('as a stream: the texts as they come, the answer, [DONE]', async () => {
  facade = await startFacade({ script: greeting });
  const answer = await facade.post('/chat', { message: 'Hello', stream: true });
  expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(answer.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  const text = await answer.text();
  expect(jsonEvents(text)).toEqual([{ delta: 'Hel' }, { delta: 'lo' }, ANSWER]);
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
});

test('a stream that breaks ends with the body of the error, and no [DONE]', async () => {
  facade = await startFacade({
    script: ({ sink }) => {
      sink.event(event('delta', { text: 'Hel' }));
      sink.fail(new MeshError('ENGINE_LOST', 'The engine broke off.'));
    },
  });
  const text = await (await facade.post('/chat', { message: 'Hello', stream: true })).text();
  const detail = 'Error generating response: The engine broke off.';
  expect(jsonEvents(text)).toEqual([
    { delta: 'Hel' },
    { detail, error: { message: detail, type: 'server_error', param: null, code: 'engine_lost' } },
  ]);
  expect(text).not.toContain('[DONE]');
});

test('a key that nobody knows, and none', async () => {
  facade = await startFacade();
  for (const headers of [{ authorization: 'Bearer sk-wrong' }, { authorization: '' }]) {
    const answer = await facade.post('/chat', { message: 'Hello' }, headers);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ detail: 'Invalid API key', error: { code: 'invalid_api_key' } });
  }
});
