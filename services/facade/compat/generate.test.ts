import { afterEach, expect, test } from 'vitest';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { event, type Generation, LIMITS, startFacade, type TestFacade, type TestOptions } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

const engine = (name: string, modelId: string, logprobs: boolean) => ({ name, modelId, capabilities: { logprobs } });
const MESH: Pick<TestOptions, 'fleet' | 'models'> = {
  fleet: {
    nodes: [
      { node: 'a', engines: [engine('tiny', 'org/tiny-1', true), engine('mixed', 'org/mixed', true)] },
      { node: 'b', engines: [engine('other', 'org/mixed', false)] },
    ],
  },
  models: [
    { id: 'org/tiny-1', names: ['tiny', 'alias'], isDefault: true },
    { id: 'org/mixed', names: ['mixed', 'other'] },
  ],
};

/** Two tokens for each choice, with log-probabilities where they are asked for. */
function twoTokens({ request, call, sink }: Generation): void {
  sink.event(event('started', { requestId: call.requestId, model: 'tiny', limits: LIMITS }));
  for (let choice = 0; choice < (request.sampling?.choices ?? 1); choice++) {
    for (const [index, token] of ['Hel', 'lo'].entries()) {
      const logprobs = request.sampling?.logprobs ? [{ token, logprob: -0.5 * (index + 1) }] : [];
      sink.event(event('delta', { choice, text: token, logprobs, completionTokens: index + 1 }));
    }
    sink.event(event('finished', { choice, reason: 1 }));
  }
  sink.event(event('usage', { promptTokens: 7, completionTokens: 2 }));
  sink.end();
}

const generate = (body: object) => facade.post('/generate', body);

test('a prompt with nothing else: the usual settings, the default model, text and tokens', async () => {
  facade = await startFacade({ ...MESH, script: twoTokens });
  const response = await generate({ prompt: 'Once', parameters: {}, unknown: 1 });
  expect(response.status).toBe(200);
  expect(response.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  expect(await response.json()).toEqual({
    success: true,
    request_time: expect.any(Number),
    completions: [
      {
        text: 'Hello',
        tokens: [
          { text: 'Hel', logprob: -0.5 },
          { text: 'lo', logprob: -1 },
        ],
      },
    ],
  });
  expect(facade.generations[0]?.request).toMatchObject({
    model: '',
    prompt: { input: { case: 'text', value: 'Once' } },
    sampling: { temperature: 0.7, maxTokens: 200, topP: 0.9, stop: [], logprobs: true },
  });
});

test('every setting is passed on; unknown ones are not', async () => {
  facade = await startFacade({ ...MESH, script: twoTokens });
  const parameters = {
    temperature: 0,
    max_new_tokens: 5_000_000_000,
    top_p: 1,
    num_return_sequences: 2,
    stop_sequences: ['\n'],
    do_sample: true,
  };
  const response = await generate({ model_name: 'alias', prompt: 'Once', parameters });
  const { completions } = (await response.json()) as { completions: object[] };
  expect(completions).toHaveLength(2);
  const { request } = facade.generations[0] ?? expect.fail('not asked');
  expect(request).toMatchObject({
    model: 'alias',
    sampling: { temperature: 0, maxTokens: 4_294_967_295, topP: 1, choices: 2, stop: ['\n'], logprobs: true },
  });
  expect(request.engineOptions).toBeUndefined();
});

test('null is as absent', async () => {
  facade = await startFacade({ ...MESH, script: twoTokens });
  const response = await generate({ model_name: 'tiny', prompt: 'Once', parameters: null });
  expect(response.status).toBe(200);
  expect((await generate({ model_name: null, prompt: 'Once', parameters: { temperature: null } })).status).toBe(200);
});

test.each([
  ['one of the engines tells none', 'mixed', MESH],
  ['nobody knows the model', 'gpt-9', MESH],
  ['the registry is away', 'tiny', { models: MESH.models }],
])('log-probabilities are not asked for when %s: text without tokens', async (_when, model, mesh) => {
  facade = await startFacade({ ...(mesh as TestOptions), script: twoTokens });
  const response = await generate({ model_name: model, prompt: 'Once' });
  expect(await response.json()).toMatchObject({ completions: [{ text: 'Hello', tokens: [] }] });
  expect(facade.generations[0]?.request.sampling?.logprobs).toBe(false);
});

test('a model that has just been loaded is known at once', async () => {
  const fleet = { nodes: [{ node: 'a', engines: [] as object[] }] };
  const models = MESH.models?.slice(0, 1) ?? [];
  facade = await startFacade({ fleet, models, script: twoTokens });
  await generate({ model_name: 'tiny', prompt: 'Once' });
  fleet.nodes[0]?.engines.push(engine('tiny', 'org/tiny-1', true));
  await generate({ model_name: 'tiny', prompt: 'Once' });
  expect(facade.generations.map(({ request }) => request.sampling?.logprobs)).toEqual([false, true]);
});

test.each<[object, RegExp]>([
  [{}, /^prompt: /],
  [{ prompt: '', model_name: null }, /^prompt: /],
  [{ model_name: 'tiny' }, /^prompt: /],
  [{ model_name: 'tiny', prompt: '' }, /^prompt: /],
  [{ model_name: 'tiny', prompt: 'x', parameters: 7 }, /^parameters: /],
  [{ prompt: 'x', parameters: { temperature: 2.1 } }, /^parameters\.temperature: /],
  [{ prompt: 'x', parameters: { max_new_tokens: 0 } }, /^parameters\.max_new_tokens: /],
  [{ prompt: 'x', parameters: { top_p: 1.5 } }, /^parameters\.top_p: /],
  [{ prompt: 'x', parameters: { num_return_sequences: 9 } }, /^parameters\.num_return_sequences: /],
  [{ prompt: 'x', parameters: { stop_sequences: 'a' } }, /^parameters\.stop_sequences/],
  [[], /^body: /],
])('%j is 400 and asks nobody', async (body, detail) => {
  facade = await startFacade(MESH);
  const response = await generate(body);
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({
    detail: expect.stringMatching(detail),
    error: 'Bad Request',
    status_code: 400,
  });
  expect(facade.generations).toEqual([]);
});

test.each<[MeshError, number, string]>([
  [new MeshError('MODEL_NOT_LOADED', 'model not loaded'), 503, 'model not loaded'],
  [new MeshError('NO_HEALTHY_ENGINE', 'x'), 503, 'No healthy backends'],
  [
    new MeshError('UNSUPPORTED_FIELD', "The engine 'tiny' does not support 'n'.", { metadata: { field: 'n' } }),
    400,
    "The engine 'tiny' does not support 'num_return_sequences'.",
  ],
])('a generation that fails: %s', async (error, status, detail) => {
  facade = await startFacade({ ...MESH, script: ({ sink }) => sink.fail(error) });
  const response = await generate({ prompt: 'x', parameters: {} });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ detail, status_code: status });
});
