import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { delimiter, join, resolve } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { randomCanary } from '../harness/canaries.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

type Line = Record<string, unknown>;

/** Every line of a kind of a mesh; its processes share one directory. */
function linesOf({ directory }: TestMesh, kind = 'requests'): Line[] {
  const logs = join(directory, 'logs');
  const names = readdirSync(logs).filter((name) => name.startsWith(`${kind}_`));
  const texts = names.flatMap((name) => readFileSync(join(logs, name), 'utf8').split('\n'));
  return texts.filter(Boolean).map((text) => JSON.parse(text) as Line);
}

/** The one line of a request. Lines are written together, a moment later. */
async function lineOf(mesh: TestMesh, requestId: string): Promise<Line> {
  const mine = () => linesOf(mesh).filter((line) => line.requestId === requestId);
  await eventually(`a line of ${requestId}`, () => mine().length > 0);
  const lines = mine();
  expect(lines).toHaveLength(1);
  return lines[0] ?? {};
}

const FAKES = resolve(import.meta.dirname, '../engines/bin');
const PROMPT = randomCanary('prompt');
const TEXT = randomCanary('completion');
const PROTOCOLS = {
  grpc: createGrpcTransport,
  'grpc-web': (options: { baseUrl: string }) => createGrpcWebTransport({ ...options, httpVersion: '1.1' }),
  connect: (options: { baseUrl: string }) => createConnectTransport({ ...options, httpVersion: '1.1' }),
};

describe.each(arrangements())('one line per request, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: 3, texts: [TEXT], models: ['big'] });
    const models = [
      { name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true },
      { name: 'vectors', engine: 'vllm', model: 'org/vectors', devices: [], task: 'embed', required: true },
    ];
    mesh = await startMesh(arrangement, {
      args: ['--model', 'none'],
      env: { PATH: [FAKES, process.env.PATH].join(delimiter) },
      config: { inference: { devices: 'none', models } },
    });
  });
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  const newId = (): string => `t${randomUUID()}`;

  async function post(path: string, body: unknown, more: Record<string, string> = {}): Promise<Line> {
    const id = newId();
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${mesh.adminKey}`,
      'x-request-id': id,
    };
    const answer = await fetch(mesh.url + path, {
      ...{ method: 'POST', headers: { ...headers, ...more } },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    await answer.text();
    return await lineOf(mesh, id);
  }

  const chat = { model: 'big', messages: [{ role: 'user', content: PROMPT }], max_tokens: 3, user: 'team-7' };
  const whole = {
    ...{ level: 'info', outcome: 'ok', status: 200, tier: 'unlimited', clientIp: '127.0.0.1' },
    ...{ modelAsked: 'big', model: 'big', engine: 'fake', completionTokens: 3, finish: 'stop' },
    ...{ keyId: expect.any(String), durationMs: expect.any(Number), firstTokenMs: expect.any(Number) },
    ...{ queueMs: expect.any(Number), promptTokens: expect.any(Number), time: expect.stringMatching(/Z$/) },
  };

  test.each([false, true])('REST, streamed: %s', async (stream) => {
    const traceId = randomUUID().replaceAll('-', '');
    const line = await post(
      '/v1/chat/completions',
      { ...chat, stream },
      { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
    );
    expect(line).toMatchObject({
      ...whole,
      ...{ protocol: 'rest', method: 'POST', route: '/v1/chat/completions', endUser: 'team-7', traceId },
    });
    expect(line.promptTokens).toBeGreaterThan(0);
    expect(line.durationMs).toBeGreaterThanOrEqual(line.firstTokenMs as number);
    expect(JSON.stringify(line)).not.toContain(PROMPT);
    expect(JSON.stringify(line)).not.toContain(TEXT);
  });

  test.each(Object.entries(PROTOCOLS))('an RPC over %s', async (protocol, transportOf) => {
    const client = createClient(RouterService, transportOf({ baseUrl: mesh.url }));
    const id = newId();
    const wanted = create(GenerateRequestSchema, {
      ...{ model: 'big', prompt: { input: { case: 'text', value: PROMPT } }, sampling: { maxTokens: 3 } },
    });
    const headers = { authorization: `Bearer ${mesh.adminKey}`, 'x-request-id': id };
    for await (const _ of client.generate(wanted, { headers }));
    const line = await lineOf(mesh, id);
    expect(line).toMatchObject({ ...whole, protocol, route: 'mesh.router.v1.RouterService/Generate' });
  });

  test.each([
    ['REST', '/v1/embeddings', { model: 'org/vectors', input: 'two words' }],
    ['an RPC', '/mesh.router.v1.RouterService/Embed', { model: 'org/vectors', inputs: [{ text: 'two words' }] }],
  ])('vectors, %s', async (_, path, body) => {
    const line = await post(path, body);
    const names = { modelAsked: 'org/vectors', model: 'org/vectors', engine: 'vectors' };
    expect(line).toMatchObject({ ...names, outcome: 'ok', completionTokens: 0, queueMs: expect.any(Number) });
    expect(line.promptTokens).toBeGreaterThan(0);
  });

  test('a queued generation has the line of its submission', async () => {
    const line = await post('/generate', { prompt: PROMPT, user_id: 'team-8' });
    expect(line).toMatchObject({ route: '/generate', status: 202, outcome: 'ok', endUser: 'team-8' });
    expect(JSON.stringify(line)).not.toContain(PROMPT);
  });

  test('an RPC without a model', async () => {
    const line = await post('/mesh.router.v1.RouterService/ListModels', {});
    expect(line).toMatchObject({ route: 'mesh.router.v1.RouterService/ListModels', outcome: 'ok', tier: 'unlimited' });
    expect(line).not.toHaveProperty('engine');
  });

  const REFUSED: [string, string, unknown, Record<string, string>, Line][] = [
    [
      'an unknown key',
      '/v1/chat/completions',
      chat,
      { authorization: 'Bearer no' },
      { status: 401, outcome: 'CREDENTIAL_INVALID' },
    ],
    ['no route', '/no/such', {}, {}, { status: 404, outcome: 'NOT_FOUND' }],
    ['a wrong method', '/healthz', {}, {}, { status: 405, outcome: 'method_not_allowed' }],
    [
      'an unknown model',
      '/v1/chat/completions',
      { ...chat, model: 'none' },
      {},
      { status: 404, outcome: 'MODEL_NOT_FOUND', modelAsked: 'none' },
    ],
    ['no JSON', '/v1/chat/completions', '{', {}, { status: 400, route: '/v1/chat/completions' }],
    [
      'an RPC with an unknown key',
      '/mesh.router.v1.RouterService/ListModels',
      {},
      { authorization: 'Bearer no' },
      { status: 401, outcome: 'CREDENTIAL_INVALID' },
    ],
    ['an RPC for peers', '/mesh.quota.v1.QuotaService/Reserve', {}, {}, { status: 403, outcome: 'PEER_ONLY' }],
    [
      'an RPC whose body is none',
      '/mesh.router.v1.RouterService/ListModels',
      '{',
      {},
      { status: 400, outcome: 'INVALID_FIELD' },
    ],
  ];
  test.each(REFUSED)('refused for %s', async (_, path, body, more, expected) => {
    expect(await post(path, body, more)).toMatchObject({ durationMs: expect.any(Number), ...expected });
  });

  test('what the listener refuses by itself', async () => {
    const id = newId();
    const headers = { expect: 'miracles', 'x-request-id': id };
    const asked = request(`${mesh.url}/v1/models`, { headers }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    expect(await lineOf(mesh, id)).toMatchObject({ status: 417, outcome: 'refused', method: 'GET' });
    expect(answer.statusCode).toBe(417);
  });

  test('a client that leaves in the middle of a stream', async () => {
    await engine.script({ tokens: 3, texts: [TEXT], models: ['big'], holdAtToken: 2 } as never);
    const id = newId();
    const aborter = new AbortController();
    const answer = await fetch(`${mesh.url}/v1/chat/completions`, {
      ...{ method: 'POST', signal: aborter.signal, body: JSON.stringify({ ...chat, stream: true }) },
      headers: { 'content-type': 'application/json', authorization: `Bearer ${mesh.adminKey}`, 'x-request-id': id },
    });
    const reader = answer.body?.getReader();
    await reader?.read();
    aborter.abort();
    const line = await lineOf(mesh, id);
    expect(line).toMatchObject({ status: 499, outcome: 'CLIENT_GONE', engine: 'fake' });
    expect(line.completionTokens).toBeGreaterThan(0);
    await engine.script({ tokens: 3, texts: [TEXT], models: ['big'] });
  });

  // Last: the engine is no good after it.
  test('whatever is logged of a request says of which trace it is', async () => {
    await engine.script({ models: ['big'], status: 500, body: { error: { message: 'broken' } } });
    const traceId = randomUUID().replaceAll('-', '');
    const line = await post('/v1/chat/completions', chat, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
    expect(line).toMatchObject({
      ...{ traceId, modelAsked: 'big' },
      // A facade that runs apart is not told of an engine that never took the request.
      ...(arrangement === 'one process' && { model: 'big', engine: 'fake' }),
    });
    expect(line.status).toBeGreaterThan(499);
    const said = () => linesOf(mesh, 'app').filter(({ requestId }) => requestId === line.requestId);
    await eventually('it is logged', () => said().length > 0);
    for (const other of said()) expect(other).toMatchObject({ traceId });
  });
});
