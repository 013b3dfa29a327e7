import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

/** The promise: the engine is idle within a second of its client leaving. */
const IDLE_WITHIN_MS = 1_000;

/** When the client leaves, and what the engine must be doing then. */
const MOMENTS: Record<string, FakeScript> = {
  "before the head of the engine's answer": { headersMs: 60_000 },
  'before the first token': { firstTokenMs: 60_000 },
  'in mid-stream': { tokens: 100_000, everyMs: 10 },
};

/** Ways to leave: each starts a request and returns how to walk away from it. */
type Start = (mesh: TestMesh, stream: boolean) => { leave: () => void };

const body = (stream: boolean) =>
  JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hi' }], stream, max_tokens: 2000 });

const overHttp1: Start = (mesh, stream) => {
  const request = httpRequest(`${mesh.url}/v1/chat/completions`, { method: 'POST', headers: headersOf(mesh) });
  request.on('error', () => {
    // The test itself cuts the connection.
  });
  request.on('response', (response) => response.on('error', () => {}).resume());
  request.end(body(stream));
  return { leave: () => request.destroy() };
};

const overHttp2: Start = (mesh, stream) => {
  const session = connectHttp2(mesh.url);
  const request = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', ...headersOf(mesh) });
  request.on('error', () => {
    // The test itself resets the stream.
  });
  request.resume();
  request.end(body(stream));
  return {
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
    const read = async (): Promise<void> => {
      for await (const _ of client.generate(request, options));
    };
    read().catch(() => {
      // The test itself cancels.
    });
    return { leave: () => controller.abort() };
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
      const { leave } = start(mesh, stream);
      await eventually('the engine runs it', async () => (await engine.counts()).running === 1);
      leave();
      await eventually('the engine is idle', async () => (await engine.counts()).running === 0, IDLE_WITHIN_MS);
      expect((await engine.counts()).aborted).toBe(before.aborted + 1);
    });
  });

  test('one that stays gets every token while others leave', async () => {
    await engine.script({ tokens: 60, everyMs: 10 });
    const staying = fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: headersOf(mesh),
      body: body(true),
    });
    const leaving = [1, 2, 3].map(() => overHttp1(mesh, true));
    await eventually('all run', async () => (await engine.counts()).running === 4);
    for (const { leave } of leaving) leave();
    const text = await (await staying).text();
    expect(text).toContain(' t59');
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    await eventually('the engine is idle', async () => (await engine.counts()).running === 0, IDLE_WITHIN_MS);
  });
});
