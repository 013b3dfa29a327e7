import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { type EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type {
  InferenceService,
  LoadModelRequest,
  LoadModelResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { jsonEvents, KEY, startFacade, type TestFacade, type TestOptions, until } from '../test-facade.ts';

const TOKEN = 'hf_thisMustNotBeSeen';
const SSE = { accept: 'text/event-stream' };

let facade: TestFacade;
afterEach(() => facade.close());

interface Load {
  readonly request: LoadModelRequest;
  readonly context: HandlerContext;
}
let loads: Load[] = [];

type Progress = MessageInitShape<typeof LoadModelResponseSchema>;

const engine = (init: MessageInitShape<typeof EngineSchema>, ms: number): Progress => ({
  engine: { name: 'tiny', deviceKind: 'cuda', devices: [1], ...init },
  elapsed: durationFromMs(ms),
  node: 'n1',
});
const LOADING = [
  engine({ state: EngineState.PLACED }, 10),
  engine({ state: EngineState.STARTING, stage: 'loading weights', percent: 40 }, 900),
];
const READY = engine({ state: EngineState.READY }, 2_500);
const READY_BODY = {
  message: "Model 'org/tiny' is loaded on cuda:1.",
  model_name: 'org/tiny',
  device: 'cuda:1',
  load_seconds: 2.5,
};

/** A node whose loads go as `script` says. */
function node(script: (load: Load) => AsyncIterable<Progress>): NonNullable<TestOptions['inference']> {
  loads = [];
  const impl: Partial<ServiceImpl<typeof InferenceService>> = {
    async *loadModel(request, context) {
      const load = { request, context };
      loads.push(load);
      try {
        yield* script(load);
      } catch (error) {
        throw toConnectError(error);
      }
    },
  };
  return impl;
}

async function* says(...progress: Progress[]): AsyncGenerator<Progress> {
  yield* progress;
}

async function* fails(error: MeshError, ...before: Progress[]): AsyncGenerator<Progress> {
  yield* before;
  throw error;
}

/** Says something, then nothing until the caller leaves. */
async function* hangs({ context }: Load, ...before: Progress[]): AsyncGenerator<Progress> {
  yield* before;
  await once(context.signal, 'abort');
}

const load = (body: object = {}, headers: Record<string, string> = {}) =>
  facade.post('/load_model', { model_name: 'org/tiny', ...body }, headers);

test('answers when the model is ready, and asks for it as its caller', async () => {
  facade = await startFacade({ inference: node(() => says(...LOADING, READY)) });
  const response = await load({ device: 'cuda:1', hf_token: TOKEN, unknown: 1 }, { 'x-request-id': 'r_1' });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual(READY_BODY);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'x-request-id': 'r_1',
    'x-ratelimit-remaining-minute': '29',
  });
  const [{ request, context } = expect.fail('not asked')] = loads;
  expect(request).toMatchObject({ model: 'org/tiny', device: 'cuda:1', hfToken: TOKEN, node: '' });
  expect(Object.fromEntries(context.requestHeader)).toMatchObject({
    authorization: `Bearer ${KEY}`,
    'x-request-id': 'r_1',
    'mesh-client-ip': '127.0.0.1',
  });
  // However long it takes.
  expect(context.timeoutMs()).toBeUndefined();
});

test('what is loaded already is answered at once, with what is usual where nothing is said', async () => {
  facade = await startFacade({ inference: node(() => says(engine({ state: EngineState.READY, devices: [] }, 0))) });
  const response = await load({ device: null, hf_token: null });
  expect(await response.json()).toMatchObject({ device: 'cuda', load_seconds: 0 });
  expect(loads[0]?.request).toMatchObject({ device: 'auto', hfToken: '' });
});

test('as an event stream: every progress, then the body of the JSON answer', async () => {
  facade = await startFacade({ inference: node(() => says(...LOADING, READY)) });
  const response = await load({}, SSE);
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-request-id': expect.any(String),
    'x-ratelimit-remaining-minute': '29',
  });
  const events = jsonEvents(await response.text());
  expect(events.at(-1)).toEqual(READY_BODY);
  const last = { state: 'starting', stage: 'loading weights', percent: 40, elapsed_seconds: 0.9 };
  expect(events.at(-2)).toEqual(last);
});

test('progress reaches the client while the load goes on', async () => {
  const ready = Promise.withResolvers<void>();
  facade = await startFacade({
    inference: node(async function* () {
      yield* LOADING;
      await ready.promise;
      yield READY;
    }),
  });
  const response = await load({}, SSE);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('loading weights')) text += (await reader?.read())?.value ?? '';
  ready.resolve();
  while (!text.includes('load_seconds')) text += (await reader?.read())?.value ?? '';
  expect(text).toContain('"percent":40');
});

test.each<[string, MeshError, number, object]>([
  [
    'no right to it',
    new MeshError('SCOPE_MISSING', 'This needs the scope "models:manage".'),
    403,
    { detail: 'This needs the scope "models:manage".', error: 'Forbidden', status_code: 403 },
  ],
  [
    'a name that cannot be',
    new MeshError('INVALID_FIELD', 'model: no engine for it is installed', { metadata: { field: 'model' } }),
    400,
    { detail: 'model_name: no engine for it is installed', error: 'Bad Request', status_code: 400 },
  ],
  ['it is being unloaded', new MeshError('CONFLICT', 'It is being unloaded.'), 409, { error: 'Conflict' }],
  [
    'it does not start',
    new MeshError('NO_HEALTHY_ENGINE', "The model 'x' does not run: too large.", { retryAfterMs: 1_500 }),
    503,
    { detail: "The model 'x' does not run: too large.", error: 'Service Unavailable', status_code: 503 },
  ],
])('%s: its own status, as JSON and as an event stream', async (_name, error, status, body) => {
  facade = await startFacade({ inference: node(() => fails(error)) });
  for (const headers of [{}, SSE]) {
    const response = await load({}, headers);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject(body);
    expect(response.headers.get('x-ratelimit-remaining-minute')).toBe('29');
    expect(response.headers.get('retry-after')).toBe(status === 503 ? '2' : null);
  }
});

test('a failure after the head has left is the last event', async () => {
  const error = new MeshError('NO_HEALTHY_ENGINE', "The model 'x' does not run: too large.");
  const opened = Promise.withResolvers<void>();
  facade = await startFacade({
    inference: node(async function* () {
      yield* LOADING;
      await opened.promise;
      throw error;
    }),
  });
  const response = await load({}, SSE);
  expect(response.status).toBe(200);
  opened.resolve();
  expect(jsonEvents(await response.text()).at(-1)).toEqual({
    detail: error.message,
    error: 'Service Unavailable',
    status_code: 503,
  });
});

test('a load that ends without being ready is no success', async () => {
  facade = await startFacade({ inference: node(() => says(...LOADING)) });
  const response = await load();
  expect(response.status).toBe(503);
});

test('while nothing happens the stream is kept open', async () => {
  facade = await startFacade({ inference: node(hangs), config: { keep_alive_seconds: 0.05 } });
  const response = await load({}, SSE);
  expect(response.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (text.split(': keep-alive\n\n').length < 3) text += (await reader?.read())?.value ?? '';
  await reader?.cancel();
});

test.each([{}, SSE])('a client that leaves ends its call, %o', async (headers) => {
  facade = await startFacade({ inference: node((one) => hangs(one, ...LOADING)) });
  const socket = net.connect(facade.port, '127.0.0.1');
  const body = JSON.stringify({ model_name: 'org/tiny' });
  const head = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(
    `POST /load_model HTTP/1.1\r\nhost: x\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n${body}`,
  );
  await until(() => loads.length === 1, 'asked');
  expect(loads[0]?.context.signal.aborted).toBe(false);
  socket.destroy();
  await until(() => loads[0]?.context.signal.aborted === true, 'the call is cancelled');
});

test('HTTP/2: the same answer', async () => {
  facade = await startFacade({ inference: node(() => says(...LOADING, READY)), protocol: 'h2c' });
  const session = http2.connect(facade.url);
  const head = { ':path': '/load_model', ':method': 'POST', authorization: `Bearer ${KEY}` };
  const stream = session.request({ ...head, 'content-type': 'application/json' });
  stream.end(JSON.stringify({ model_name: 'org/tiny' }));
  let text = '';
  for await (const chunk of stream) text += chunk;
  expect(JSON.parse(text)).toEqual(READY_BODY);
  session.destroy();
});

test.each<[string, object, RegExp]>([
  ['no name', { model_name: undefined }, /^model_name: /],
  ['an empty name', { model_name: '' }, /^model_name: /],
  ['a long name', { model_name: 'x'.repeat(513) }, /^model_name: /],
  ['an unknown device', { device: 'cuda:x' }, /^device: .*cuda:<index>/],
  ['a token that is none', { hf_token: 'two words' }, /^hf_token: /],
  ['a token of another type', { hf_token: 7 }, /^hf_token: /],
])('%s is 400 and asks nobody', async (_name, body, detail) => {
  facade = await startFacade({ inference: node(() => says(READY)) });
  const response = await load(body);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ detail: expect.stringMatching(detail), status_code: 400 });
  expect(loads).toEqual([]);
});

test('the token is in no log, whatever happens', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line) => lines.push(line) });
  let script = (): AsyncIterable<Progress> => says(READY);
  facade = await startFacade({ inference: node(() => script()), resources: { log } });
  const answers: string[] = [];
  const say = async (body: object, headers = {}) => answers.push(await (await load(body, headers)).text());
  await say({ hf_token: TOKEN });
  await say({ hf_token: TOKEN, device: 'gpu' });
  await say({ hf_token: `${TOKEN} ` });
  await say({ hf_token: [TOKEN] });
  script = () => fails(new MeshError('INTERNAL', 'broken'));
  await say({ hf_token: TOKEN });
  await say({ hf_token: TOKEN }, SSE);
  script = () => {
    throw new TypeError('a bug');
  };
  await say({ hf_token: TOKEN });
  expect(answers).toHaveLength(7);
  expect(lines.length).toBeGreaterThan(3);
  expect([...lines, ...answers].join('\n')).not.toContain(TOKEN);
});

test('methods: 405 names them, a wrong key is 401, a draining process loads nothing', async () => {
  let isDraining = false;
  facade = await startFacade({ inference: node(() => says(READY)), resources: { isDraining: () => isDraining } });
  const wrong = await facade.call('/load_model');
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'OPTIONS, POST']);
  expect((await load({}, { authorization: 'Bearer nonsense' })).status).toBe(401);
  isDraining = true;
  expect((await load()).status).toBe(503);
  expect(loads).toEqual([]);
});

test('closing the facade tells a client that waits', async () => {
  facade = await startFacade({ inference: node(hangs) });
  const answer = load();
  await until(() => loads.length === 1, 'asked');
  await facade.close();
  expect((await answer).status).toBe(503);
});
