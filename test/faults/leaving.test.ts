import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';
import { chat, chatBody, heldReservations, newPayer, type Payer } from './caller.ts';

const TOKENS = 20;
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 120_000;
/** The promise. */
const FREE_WITHIN_MS = 1_000;
/** For an engine that was away. */
const PATIENCE_MS = 60_000;

/** A request that somebody made. */
interface Asked {
  /** What has come of the answer. */
  readonly got: () => string;
  leave(): void;
}

/** Ways to ask, each with its way to leave. */
type Client = (mesh: TestMesh, payer: Payer, body: object) => Asked;

const overSocket =
  (leave: 'destroy' | 'resetAndDestroy' | 'end'): Client =>
  (mesh, { secret }, fields) => {
    const body = chatBody(fields);
    const socket = connect(Number(new URL(mesh.url).port), '127.0.0.1');
    let got = '';
    socket.on('data', (bytes) => {
      got += bytes;
    });
    socket.on('error', () => {});
    const head = ['POST /v1/chat/completions HTTP/1.1', 'host: a', `x-api-key: ${secret}`];
    const length = [`content-length: ${Buffer.byteLength(body)}`, 'content-type: application/json'];
    socket.write(`${[...head, ...length].join('\r\n')}\r\n\r\n${body}`);
    return { got: () => got, leave: () => void socket[leave]() };
  };

const overHttp2 =
  (leave: 'reset' | 'goaway'): Client =>
  (mesh, { secret }, fields) => {
    const session = connectHttp2(mesh.url);
    const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
    const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', ...headers });
    let got = '';
    stream.on('data', (bytes) => {
      got += bytes;
    });
    for (const emitter of [session, stream]) emitter.on('error', () => {});
    stream.end(chatBody(fields));
    return {
      got: () => got,
      leave() {
        if (leave === 'reset') stream.close(8);
        else session.destroy();
      },
    };
  };

const CLIENTS: [string, Client][] = [
  ['by a FIN', overSocket('destroy')],
  ['by a reset', overSocket('resetAndDestroy')],
  ['by a half-closed connection', overSocket('end')],
  ['by RST_STREAM', overHttp2('reset')],
  ['by GOAWAY', overHttp2('goaway')],
];

/** When the client leaves: what its engine does, and what the client has seen by then. */
const MOMENTS: [string, FakeScript, string][] = [
  ['before the head of the answer', { headersMs: 60_000 }, ''],
  ['before the first token', { firstTokenMs: 60_000 }, ''],
  ['at the first token', { holdAtToken: 1 }, ' t0'],
  ['in the middle', { holdAtToken: TOKENS / 2 }, ` t${TOKENS / 2 - 1}`],
  ['after the last token', { fault: 'hang', atToken: TOKENS }, ` t${TOKENS - 1}`],
];

describe.each(arrangements())('clients that leave, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let proxy: FaultProxy;
  let payer: Payer;

  beforeAll(async () => {
    engine = await startFakeEngine();
    proxy = await startFaultProxy(engine.port);
    const models = [
      { name: 'twin', engine: 'openai', base_url: `${proxy.url}/v1`, required: true, max_concurrency: 1 },
    ];
    const quota = { tiers: { single: { concurrent_requests: 1 } } };
    mesh = await startMesh(arrangement, { config: { inference: { models }, quota } });
    payer = await newPayer(mesh, 'single');
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    proxy?.thaw();
    await mesh?.stop();
    await proxy?.close();
    await engine?.stop();
  });

  /** The engine has one place and the key one request at a time: who comes next is served when both are free. */
  async function expectFree(withinMs: number): Promise<void> {
    await eventually('the engine is idle', async () => (await engine.counts()).running === 0, withinMs);
    await engine.script({ tokens: TOKENS });
    const next = async (): Promise<boolean> => {
      const answer = await chat(mesh, payer);
      return (await answer.text()).endsWith('data: [DONE]\n\n');
    };
    await eventually('the next request is served', next, withinMs);
  }

  const holds = (count: number) => eventually(`${count} hold`, async () => (await heldReservations(mesh)) === count);

  describe.each(MOMENTS)('%s', (_moment, script, seen) => {
    test.each(CLIENTS)('%s', { timeout: TEST_TIMEOUT_MS }, async (_way, client) => {
      await engine.script({ tokens: TOKENS, ...script });
      const { got, leave } = client(mesh, payer, { max_tokens: TOKENS });
      await eventually('it runs', async () => (await engine.counts()).running === 1);
      await eventually('it came so far', () => got().includes(seen));
      leave();
      await expectFree(stretched(FREE_WITHIN_MS));
    });
  });

  test(
    'while it waits for a place',
    async () => {
      const others = await newPayer(mesh, 'unlimited');
      await engine.script({ tokens: TOKENS, holdAtToken: 0 });
      const running = chat(mesh, others);
      await eventually('it runs', async () => (await engine.counts()).running === 1);
      const { leave } = overHttp2('reset')(mesh, payer, {});
      await holds(2);
      leave();
      await holds(1);
      await engine.go();
      expect(await (await running).text()).toContain('[DONE]');
      await expectFree(PATIENCE_MS);
      await holds(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'while its engine cannot be reached',
    async () => {
      await engine.script({ tokens: TOKENS });
      proxy.freeze();
      const { leave } = overSocket('destroy')(mesh, payer, {});
      await holds(1);
      leave();
      await holds(0);
      proxy.thaw();
      await expectFree(PATIENCE_MS);
      await holds(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'while it is settled, or about to be, 50 times',
    async () => {
      await engine.script({ tokens: 2 });
      for (let turn = 0; turn < 50; turn += 1) {
        const { got, leave } = overSocket('resetAndDestroy')(mesh, await newPayer(mesh, 'single'), { max_tokens: 2 });
        const last = [' t1', '"finish_reason":"', '[DONE]'][turn % 3] ?? '';
        await eventually('it came so far', () => got().includes(last));
        leave();
      }
      await expectFree(PATIENCE_MS);
      await holds(0);
    },
    TEST_TIMEOUT_MS,
  );
});
