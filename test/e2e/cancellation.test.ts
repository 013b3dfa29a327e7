import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { text } from 'node:stream/consumers';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { eventuallyBefore } from '../harness/answers.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';

/** The promise: the engine is idle within a second of its client leaving. */
const IDLE_MS = 1_000;

/** When the client leaves, and what the engine must be doing then. */
const MOMENTS: Record<string, FakeScript> = {
  "before the head of the engine's answer": { headersMs: 60_000 },
  'before the first token': { firstTokenMs: 60_000 },
  'in mid-stream': { tokens: 100_000, everyMs: 10 },
};

/** A request that runs. */
interface Running {
  /** Walks away from it. */
  leave(): void;
  /** What came when it was over although its client had not left. */
  readonly over: Promise<string>;
}

/** Ways to ask, and to leave. */
type Start = (mesh: TestMesh, stream: boolean) => Running;

const body = (stream: boolean) =>
  JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hi' }], stream, max_tokens: 2000 });

const overHttp1: Start = (mesh, stream) => {
  const { promise: over, resolve } = Promise.withResolvers<string>();
  const request = httpRequest(`${mesh.url}/v1/chat/completions`, { method: 'POST', headers: headersOf(mesh) });
  request.on('error', (error) => resolve(String(error)));
  request.on('response', (response) => {
    text(response).then(
      (body) => resolve(`${response.statusCode} ${body}`),
      (error) => resolve(String(error)),
    );
  });
  request.end(body(stream));
  return { over, leave: () => request.destroy() };
};

const overHttp2: Start = (mesh, stream) => {
  const { promise: over, resolve } = Promise.withResolvers<string>();
  const session = connectHttp2(mesh.url);
  session.on('error', (error) => resolve(String(error)));
  const request = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', ...headersOf(mesh) });
  request.on('response', ({ ':status': status }) => {
    text(request).then(
      (body) => resolve(`${status} ${body}`),
      (error) => resolve(String(error)),
    );
  });
  request.on('error', (error) => resolve(String(error)));
  request.end(body(stream));
  return {
    over,
    leave: () => {
      request.close();
      session.close();
    },
  };
};

function overRpc(transportOf: (url: string) => ReturnType<typeof createGrpcTransport>): Start {
  return (mesh) => {
    const client = createClient(RouterService, transportOf(mesh.url));
    const controller = new AbortController();
    const request = create(GenerateRequestSchema, {
      model: 'fake',
      prompt: { input: { case: 'text', value: 'hi' } },
      sampling: { maxTokens: 2000 },
    });
    const options = { headers: { authorization: `Bearer ${mesh.adminKey}` }, signal: controller.signal };
    const over = Array.fromAsync(client.generate(request, options)).then(
      (events) => `${events.length} events`,
      (error) => String(error),
    );
    return { over, leave: () => controller.abort() };
  };
}

function headersOf(mesh: TestMesh): Record<string, string> {
  return { authorization: `Bearer ${mesh.adminKey}`, 'content-type': 'application/json' };
}

const CLIENTS: [string, Start, boolean][] = [
  ['an SSE client over HTTP/1.1', overHttp1, true],
  ['a non-streaming client over HTTP/1.1', overHttp1, false],
  ['an SSE client over h2c', overHttp2, true],
  ['a non-streaming client over h2c', overHttp2, false],
  ['a gRPC client', overRpc((url) => createGrpcTransport({ baseUrl: url })), true],
  ['a gRPC-Web client', overRpc((url) => createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1' })), true],
  ['a Connect client', overRpc((url) => createConnectTransport({ baseUrl: url, httpVersion: '1.1' })), true],
];

describe.each(arrangements())('a client that leaves frees the engine, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    mesh = await startMesh(arrangement, { config: { inference: { models } } });
  });
  afterAll(async () => {
    await mesh.stop();
    await engine.stop();
  });

  describe.each(Object.entries(MOMENTS))('%s', (_moment, script) => {
    test.each(CLIENTS)('%s', async (_client, start, stream) => {
      await engine.script(script);
      const before = await engine.counts();
      const { leave, over } = start(mesh, stream);
      await eventuallyBefore({ over }, 'the engine runs it', async () => (await engine.counts()).running === 1);
      leave();
      await eventually('the engine is idle', async () => (await engine.counts()).running === 0, stretched(IDLE_MS));
      expect((await engine.counts()).aborted).toBe(before.aborted + 1);
    });
  });

  test('one that stays gets every token while others leave', async () => {
    await engine.script({ tokens: 60, holdAtToken: 30 });
    const { over: staying } = overHttp1(mesh, true);
    const leaving = [1, 2, 3].map(() => overHttp1(mesh, true));
    const [one, two, three] = leaving.map(({ over }) => over);
    const running = async () => (await engine.counts()).running;
    const early = { staying, ...(one && { one }), ...(two && { two }), ...(three && { three }) };
    await eventuallyBefore(early, 'all run', async () => (await running()) === 4);
    for (const { leave } of leaving) leave();
    await eventuallyBefore({ staying }, 'it alone runs', async () => (await running()) === 1);
    await engine.go();
    const answer = await staying;
    expect(answer).toContain(' t59');
    expect(answer.trimEnd().endsWith('data: [DONE]')).toBe(true);
    await eventually('the engine is idle', async () => (await running()) === 0);
  });
});
