import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';
import { chat, chatBody, textOf, tokenTexts } from './caller.ts';
import { bytesFrom } from './socket-queues.ts';

const TOKENS = 1_024;
const TOKEN_BYTES = 16 * 1024;
const READERS = 200;
/** 1 MiB each. */
const SHORT_TOKENS = 64;
/** The promise: what the processes of the mesh hold of one stream, together. */
const HELD_BYTES = 512 * 1024;
/** So many looks in a row that see nothing move are a stand-still. */
const LOOKS = 100;
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 120_000;

describe.runIf(existsSync('/proc/net/tcp')).each(arrangements())('a reader that pauses, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let steady: FakeEngine;
  let proxy: FaultProxy;

  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: TOKENS, texts: ['x'.repeat(TOKEN_BYTES)] });
    steady = await startFakeEngine();
    proxy = await startFaultProxy(engine.port);
    const models = [
      { name: 'twin', engine: 'openai', base_url: `${proxy.url}/v1`, required: true },
      { name: 'steady', engine: 'openai', base_url: steady.baseUrl, required: true },
    ];
    mesh = await startMesh(arrangement, { config: { inference: { models }, router: { idle_write_seconds: 300 } } });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await proxy?.close();
    await Promise.all([engine?.stop(), steady?.stop()]);
  });

  /** Characters of the answer in a part of what a socket gave. */
  const textBytes = (bytes: Buffer): number => bytes.toString('latin1').match(/xx+/g)?.join('').length ?? 0;

  test(
    'makes the mesh hold little of 16 MiB, and gets them whole when he goes on',
    async () => {
      const port = Number(new URL(mesh.url).port);
      const socket = connect(port, '127.0.0.1');
      socket.pause();
      const body = chatBody({ max_tokens: TOKENS });
      const head = [`authorization: Bearer ${mesh.adminKey}`, 'content-type: application/json', 'connection: close'];
      const length = `content-length: ${body.length}`;
      socket.write(['POST /v1/chat/completions HTTP/1.1', 'host: a', ...head, length, '', body].join('\r\n'));
      const before = proxy.repliedBytes();
      let looks = 0;
      let seenBytes = 0;
      await eventually('the engine stands still', () => {
        const bytes = proxy.repliedBytes() - bytesFrom(proxy.port);
        // Answers to probes pass the proxy too.
        const isStill = bytes - seenBytes < TOKEN_BYTES && bytes - before > TOKEN_BYTES;
        looks = isStill ? looks + 1 : 0;
        if (!isStill) seenBytes = bytes;
        return looks > LOOKS;
      });
      const takenBytes = seenBytes - before;
      const givenBytes = socket.bytesRead + bytesFrom(port, socket.localPort);

      const parts: Buffer[] = [];
      for await (const part of socket) parts.push(part);
      const answer = Buffer.concat(parts);
      expect(textBytes(answer)).toBe(TOKENS * TOKEN_BYTES);
      expect(answer.toString('latin1')).toContain('data: [DONE]');
      const eventBytes = (proxy.repliedBytes() - before) / TOKENS;
      const heldBytes = (takenBytes / eventBytes) * TOKEN_BYTES - textBytes(answer.subarray(0, givenBytes));
      expect(takenBytes).toBeLessThan((TOKENS * TOKEN_BYTES) / 2);
      expect(heldBytes).toBeLessThanOrEqual(HELD_BYTES);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'may be 200: what all hold is bounded, another stream flows, and each gets its own whole',
    async () => {
      await engine.script({ tokens: SHORT_TOKENS, texts: ['x'.repeat(TOKEN_BYTES)] });
      const { served: servedBefore } = await engine.counts();
      const before = proxy.repliedBytes();
      const readers = await Promise.all(Array.from({ length: READERS }, () => pausedOverHttp2(mesh)));
      await eventually('the engine waits for each, or for nobody any more', async () => {
        const { blocked, served } = await engine.counts();
        return blocked + served - servedBefore >= READERS;
      });
      await steady.script({ tokens: 100, everyMs: 10 });
      const answer = await chat(mesh, { secret: mesh.adminKey }, { model: 'steady' });
      const cameAtMs: number[] = [];
      let stream = '';
      for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        stream += part;
        cameAtMs.push(performance.now());
      }
      expect(textOf(stream)).toBe(tokenTexts(100));
      const gapsMs = cameAtMs.slice(1).map((atMs, i) => atMs - (cameAtMs[i] ?? 0));
      gapsMs.sort((a, b) => a - b);
      expect(gapsMs.at(-5)).toBeLessThan(stretched(200));
      // Each client's window takes 64 KiB; nearly all of the rest is in the mesh.
      const takenBytes = proxy.repliedBytes() - bytesFrom(proxy.port) - before;
      expect(takenBytes).toBeLessThan(READERS * HELD_BYTES);
      const texts = await Promise.all(readers.map((read) => read()));
      expect(new Set(texts)).toEqual(new Set([SHORT_TOKENS * TOKEN_BYTES]));
    },
    TEST_TIMEOUT_MS,
  );

  /** Asks for a stream of which nothing is read yet; the returned function reads it and tells how much text came. */
  async function pausedOverHttp2({ url, adminKey }: TestMesh): Promise<() => Promise<number>> {
    const session = connectHttp2(url);
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
    const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', ...headers });
    stream.end(chatBody({ max_tokens: SHORT_TOKENS }));
    await once(stream, 'response');
    return async () => {
      const parts: Buffer[] = [];
      for await (const part of stream) parts.push(part);
      session.close();
      return textBytes(Buffer.concat(parts));
    };
  }
});
