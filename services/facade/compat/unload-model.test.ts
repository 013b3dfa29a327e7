import { once } from 'node:events';
import http from 'node:http';
import { afterEach, expect, test } from 'vitest';
import type { UnloadModelRequest } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { KEY, startFacade, type TestFacade, type TestOptions, until } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

let asked: { request: UnloadModelRequest; authorization: string | null; timeoutMs: number | undefined }[] = [];

function node(error?: MeshError): NonNullable<TestOptions['inference']> {
  asked = [];
  return {
    unloadModel(request, context) {
      asked.push({
        request,
        authorization: context.requestHeader.get('authorization'),
        timeoutMs: context.timeoutMs(),
      });
      if (error) throw toConnectError(error);
      return {
        engines: [
          { node: 'a', engine: { name: 'tiny' } },
          { node: 'b', engine: { name: 'tiny' } },
        ],
      };
    },
  };
}

test('answers with what was unloaded, and waits as long as it takes', async () => {
  facade = await startFacade({ inference: node() });
  const response = await facade.post('/unload_model', { model_name: 'org/tiny', unknown: true });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ message: "Model 'org/tiny' is unloaded." });
  expect(response.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  expect(asked).toMatchObject([
    { request: { model: 'org/tiny', node: '' }, authorization: `Bearer ${KEY}`, timeoutMs: undefined },
  ]);
});

test('without a name, and without a body, it is the only one', async () => {
  facade = await startFacade({ inference: node() });
  for (const body of [{}, { model_name: null }]) {
    const response = await facade.post('/unload_model', body);
    expect(await response.json()).toEqual({ message: "Model 'tiny' is unloaded." });
  }
  expect((await facade.call('/unload_model', { method: 'POST' })).status).toBe(200);
  expect(asked.map(({ request }) => request.model)).toEqual(['', '', '']);
});

test.each<[MeshError, number, string]>([
  [new MeshError('MODEL_NOT_FOUND', "No node has a model 'x'."), 404, 'Not Found'],
  [new MeshError('CONFLICT', 'No model is named, and nothing is loaded.'), 409, 'Conflict'],
  [new MeshError('SCOPE_MISSING', 'This needs the scope "models:manage".'), 403, 'Forbidden'],
])('%s', async (error, status, short) => {
  facade = await startFacade({ inference: node(error) });
  const response = await facade.post('/unload_model', { model_name: 'x' });
  expect(response.status).toBe(status);
  expect(await response.json()).toEqual({ detail: error.message, error: short, status_code: status });
});

test.each([{ model_name: '' }, { model_name: 7 }, []])('%j is 400', async (body) => {
  facade = await startFacade({ inference: node() });
  expect((await facade.post('/unload_model', body)).status).toBe(400);
  expect(asked).toEqual([]);
});

test('a client that leaves ends its call', async () => {
  let signal: AbortSignal | undefined;
  facade = await startFacade({
    inference: {
      async unloadModel(_request, context) {
        ({ signal } = context);
        await once(context.signal, 'abort');
        return {};
      },
    },
  });
  const headers = { authorization: `Bearer ${KEY}` };
  const request = http.request(`${facade.url}/unload_model`, { method: 'POST', headers });
  request.on('error', () => undefined);
  request.end();
  await until(() => signal !== undefined, 'asked');
  request.destroy();
  await until(() => signal?.aborted === true, 'the call is cancelled');
});
