import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { TaskState } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import type { EndpointDescription } from '../http/endpoint.ts';
import { ENDPOINTS } from '../routes.ts';
import { event, type Generation, KEY, LIMITS, startFacade, type TestFacade } from '../test-facade.ts';
import { errorSchemaOf } from './error-answers.ts';
import { operationOf } from './operation.ts';

// What endpoints declare against what they answer: every example of a body is sent to a facade whose mesh is a script that says
// all that a mesh may say.

const logprob = { token: 'Hi', logprob: -0.5, bytes: Buffer.from('Hi'), top: [{ token: 'Hi', logprob: -0.5 }] };

function everything({ sink, call }: Generation): void {
  sink.event(event('started', { requestId: call.requestId, model: 'tiny', limits: LIMITS }));
  sink.event(event('delta', { reasoning: 'They greet.', completionTokens: 1 }));
  sink.event(event('delta', { text: 'Hi', logprobs: [logprob], tokenIds: [7], completionTokens: 2 }));
  sink.event(event('delta', { toolCalls: [{ index: 0, id: 'call_1', name: 'greet', arguments: '' }] }));
  sink.event(event('delta', { toolCalls: [{ index: 0, arguments: '{"who":"you"}' }], completionTokens: 3 }));
  sink.event(event('finished', { reason: 1 }));
  sink.event(event('usage', { promptTokens: 7, completionTokens: 3 }));
  sink.end();
}

const engine = {
  ...{
    name: 'chat',
    kind: 'llama.cpp',
    modelId: 'org/tiny-1',
    state: EngineState.READY,
    address: 'embedded:llama.cpp',
  },
  ...{ deviceKind: 'cuda', devices: [0], required: true },
};

const loading = { ...engine, state: EngineState.STARTING, stage: 'loading weights', percent: 40 };

const queued = { taskId: 't1', state: TaskState.QUEUED, position: 2 };
const at = (seconds: bigint) => ({ seconds, nanos: 0 });
const completed = {
  ...{ taskId: 't1', state: TaskState.COMPLETED, result: 'Hi', usage: { promptTokens: 7, completionTokens: 3 } },
  ...{ submittedAt: at(1n), startedAt: at(2n), endedAt: at(4n) },
};

let facade: TestFacade;
/** The same without a registry. */
let unready: TestFacade;

beforeAll(async () => {
  facade = await startFacade({
    script: everything,
    fleet: { defaultModel: 'chat', nodes: [{ node: 'n1', engines: [engine] }] },
    models: [{ id: 'org/tiny-1', names: ['chat'], contextTokens: 2048 }],
    embed: (request) => ({
      model: 'tiny',
      embeddings: request.inputs.map(() => ({ values: [0.5, -0.25] })),
      promptTokens: 3,
      limits: LIMITS,
    }),
    inference: {
      async *loadModel() {
        yield { engine: loading, elapsed: { seconds: 1n, nanos: 0 } };
        yield { engine, elapsed: { seconds: 2n, nanos: 0 } };
      },
      unloadModel: () => ({ engines: [{ node: 'n1', engine }] }),
    },
    tasks: {
      submit: () => ({ task: queued, limits: LIMITS }),
      get: () => ({ task: completed }),
      async *watch() {
        yield { eventId: 1n, event: { case: 'task', value: queued } };
        yield { eventId: 2n, event: { case: 'task', value: { ...queued, state: TaskState.PROCESSING, position: 0 } } };
        yield { eventId: 3n, event: { case: 'delta', value: 'Hi' } };
        yield { eventId: 4n, event: { case: 'task', value: completed } };
      },
      cancel: () => ({ task: { taskId: 't1', state: TaskState.FAILED, failure: { type: 'Cancelled', message: 'x' } } }),
    },
    auth: {
      login: () => ({ accessToken: 'sk-known', expiresIn: { seconds: 86_400n, nanos: 0 } }),
      generateApiKey: () => ({ secret: 'im_new' }),
      getJwks: () => ({ jwks: JSON.stringify({ keys: [{ kty: 'OKP', kid: 'k1', alg: 'EdDSA' }] }) }),
    },
  });
  unready = await startFacade();
});
afterAll(async () => {
  await facade?.close();
  await unready?.close();
});

const ajv = new Ajv2020({ allErrors: true, formats: { base64: true } });

/** Fails on a member that the schema does not name, as well. */
function expectAsDeclared(schema: z.ZodType, value: unknown): void {
  const isValid = ajv.compile(z.toJSONSchema(schema, { io: 'output' }));
  isValid(value);
  expect({ value, errors: isValid.errors ?? [] }).toEqual({ value, errors: [] });
}

/** The path with its members filled in by their examples. */
function addressOf({ path, params }: EndpointDescription): string {
  return path.replace(/\{\+?(\w+)\}/g, (_whole, name: string) => {
    const schema = params?.shape[name] as z.ZodType | undefined;
    return String((schema?.meta()?.examples as unknown[] | undefined)?.[0]);
  });
}

function send(to: TestFacade, endpoint: EndpointDescription, body = {}, headers: Record<string, string> = {}) {
  const address = addressOf(endpoint);
  if (endpoint.method !== 'POST') return to.call(address, { method: endpoint.method, headers });
  const takesOptions = endpoint.body?.schema instanceof z.ZodObject && 'stream_options' in endpoint.body.schema.shape;
  const asked = takesOptions ? { stream_options: { include_usage: true } } : {};
  return to.post(address, { ...body, ...asked }, headers);
}

/** Every header that the document promises. */
function expectHeaders(endpoint: EndpointDescription, response: Response): void {
  const { responses } = operationOf(endpoint) as { responses: Record<number, { headers: object }> };
  const promised = Object.keys(responses[response.status]?.headers ?? {});
  expect(promised).toContain('X-Request-Id');
  expect(promised.filter((name) => !response.headers.has(name))).toEqual([]);
}

function expectEvents(text: string, schema: z.ZodType | undefined): void {
  const data = text.match(/(?<=^data: )\{.*$/gm) ?? [];
  expect(data.length).toBeGreaterThan(1);
  for (const event of data) expectAsDeclared(schema as z.ZodType, JSON.parse(event));
}

/** A row per endpoint that has what `of` looks for. */
function rows<Found>(of: (endpoint: EndpointDescription) => readonly Found[]) {
  return ENDPOINTS.flatMap((endpoint) =>
    of(endpoint).map((found) => [`${endpoint.method} ${endpoint.path}`, endpoint, found] as const),
  );
}

const examples = rows(({ body }) => Object.values(body?.examples ?? { none: {} }));
const streams = rows(({ answers }) => (answers[200]?.events ? [answers[200].events.schema] : []));
const unreadies = rows(({ answers }) => (answers[503]?.json ? [answers[503].json.schema] : []));
const unchanged = rows(({ answers }) => (answers[304] ? [answers[304]] : []));
const guarded = rows((endpoint) => (endpoint.access === 'caller' ? [errorSchemaOf(endpoint).schema] : []));
const bodies = rows((endpoint) => (endpoint.body ? [errorSchemaOf(endpoint).schema] : []));

test.each(examples)('%s answers an example of its body as declared', async (_name, endpoint, example) => {
  const response = await send(facade, endpoint, example);
  expect([200, 202]).toContain(response.status);
  expectHeaders(endpoint, response);
  const { json, events, types } = endpoint.answers[response.status] ?? {};
  const type = response.headers.get('content-type')?.split(';')[0] ?? '';
  if (type === 'text/event-stream') return expectEvents(await response.text(), events?.schema);
  if (!json) return expect(types).toContain(type);
  expect(type).toBe(json.type ?? 'application/json');
  return expectAsDeclared(json.schema, await response.json());
});

test.each(streams)('%s streams as declared', async (_name, endpoint, schema) => {
  const [example] = Object.values(endpoint.body?.examples ?? {});
  const response = await send(facade, endpoint, { ...example, stream: true }, { accept: 'text/event-stream' });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  expectHeaders(endpoint, response);
  expectEvents(await response.text(), schema);
});

test.each(unreadies)('%s says as declared that it is not ready', async (_name, endpoint, schema) => {
  const response = await send(unready, endpoint);
  expect(response.status).toBe(503);
  expectHeaders(endpoint, response);
  expectAsDeclared(schema, await response.json());
});

test.each(unchanged)('%s says that it has not changed', async (_name, endpoint) => {
  const etag = (await send(facade, endpoint)).headers.get('etag') ?? '';
  expect((await send(facade, endpoint, {}, { 'if-none-match': etag })).status).toBe(304);
});

test.each(guarded)('%s refuses a wrong key as declared', async (_name, endpoint, schema) => {
  const response = await send(facade, endpoint, {}, { authorization: 'Bearer wrong' });
  expect(response.status).toBe(401);
  expectHeaders(endpoint, response);
  expectAsDeclared(schema, await response.json());
});

test.each(bodies)('%s refuses a body that is none as declared', async (_name, endpoint, schema) => {
  const response = await facade.post(endpoint.path, '[');
  expect(response.status).toBe(400);
  expectHeaders(endpoint, response);
  expectAsDeclared(schema, await response.json());
});

/** What a program would be given as arguments by a shell; the program is not run. */
async function argumentsOf(line: string, env: Record<string, string>): Promise<string[]> {
  const script = `curl() { for word; do printf '%s\\0' "$word"; done; }; ${line}`;
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { env });
  return stdout.split('\0').slice(0, -1);
}

test('every example call of /api-info works when it is typed', async () => {
  const info = (await (await facade.call('/api-info')).json()) as { endpoints: { path: string; example: string }[] };
  expect(info.endpoints.length).toBe(ENDPOINTS.length);
  for (const { path, example } of info.endpoints) {
    const words = await argumentsOf(example, { MESH_URL: facade.url, MESH_API_KEY: KEY });
    const after = (flag: string): string[] => words.flatMap((word, at) => (word === flag ? [words[at + 1] ?? ''] : []));
    const url = words.find((word) => word.startsWith('http')) ?? '';
    const headers = after('-H').map((header) => header.split(': ') as [string, string]);
    const [body] = after('-d');
    const response = await fetch(url, { method: after('-X')[0] ?? 'GET', headers, ...(body ? { body } : {}) });
    expect([path, response.ok]).toEqual([path, true]);
    await response.arrayBuffer();
  }
});
