import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { chat, chatBody, newPayer, type Payer, settled } from './caller.ts';

/** More than the buffers of all kernels between: it never ends by itself. */
const FLOOD = { tokens: 4_000, texts: ['x'.repeat(16 * 1024)] };
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 120_000;

/** Clients that ask for a flood, read its beginning or nothing of it, and keep their connection open until they are let go. */
const CLIENTS: Record<string, (mesh: TestMesh, payer: Payer) => Promise<() => void>> = {
  async 'an SSE client over HTTP/1.1'({ url }, { secret }) {
    const body = chatBody({ max_tokens: FLOOD.tokens });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.pause();
    socket.on('error', () => {});
    const head = ['POST /v1/chat/completions HTTP/1.1', 'host: a', `x-api-key: ${secret}`];
    const rest = ['content-type: application/json', `content-length: ${body.length}`];
    socket.write([...head, ...rest, '', body].join('\r\n'));
    return () => socket.destroy();
  },
  async 'an SSE client over HTTP/2'({ url }, { secret }) {
    const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
    return overHttp2(url, '/v1/chat/completions', headers, Buffer.from(chatBody({ max_tokens: FLOOD.tokens })));
  },
  async 'an RPC client'({ url }, { secret }) {
    const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/connect+json' };
    const request = { model: 'twin', prompt: { text: 'hi' }, sampling: { maxTokens: FLOOD.tokens } };
    const message = Buffer.from(JSON.stringify(request));
    const enveloped = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
    return overHttp2(url, '/mesh.router.v1.RouterService/Generate', headers, enveloped);
  },
};

function overHttp2(url: string, path: string, headers: Record<string, string>, body: Buffer): () => void {
  const session = connectHttp2(url);
  const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
  for (const emitter of [session, stream]) emitter.on('error', () => {});
  stream.end(body);
  return () => session.destroy();
}

describe.each(arrangements())('a client that stalls with its connection open, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;

  beforeAll(async () => {
    engine = await startFakeEngine();
    const entry = { name: 'twin', engine: 'openai', base_url: engine.baseUrl, required: true, max_concurrency: 1 };
    const router = { idle_write_seconds: 1 };
    mesh = await startMesh(arrangement, { config: { inference: { models: [entry] }, router } });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  test.each(Object.entries(CLIENTS))(
    '%s is cut: the only place of the engine is free, and what left it is charged',
    async (_name, stall) => {
      const payer = await newPayer(mesh, 'unlimited');
      await engine.script(FLOOD);
      const letGo = await stall(mesh, payer);
      try {
        await eventually('the engine waits for him', async () => (await engine.counts()).blocked === 1);
        await eventually('the engine is idle', async () => (await engine.counts()).running === 0);
        await engine.script({ tokens: 3 });
        const next = await chat(mesh, { secret: mesh.adminKey });
        expect(await next.text()).toContain('data: [DONE]');
        const ledger = await settled(mesh, payer);
        expect(ledger.requests).toBe(1);
        expect(ledger.completionTokens).toBeGreaterThan(0);
        expect(ledger.completionTokens).toBeLessThan(FLOOD.tokens);
      } finally {
        letGo();
      }
    },
    TEST_TIMEOUT_MS,
  );
});
