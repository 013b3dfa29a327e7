import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis } from '../harness/redis.ts';
import { type RouterPair, startRouterPair } from '../harness/router-pair.ts';

const TIMEOUT_MS = 180_000;
const PLACES = 2;

describe.runIf(hasRedis())('one engine and two routers that know nothing of each other', () => {
  let engine: FakeEngine;
  let pair: RouterPair;

  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: 4, everyMs: 10 });
    const entry = { name: 'chat', engine: 'openai', base_url: engine.baseUrl, max_concurrency: PLACES };
    pair = await startRouterPair({ models: [entry] });
    for (const name of ['a', 'b'] as const) {
      await eventually(`the engine is ready at ${name}`, async () => (await ask(name)).status === 200, TIMEOUT_MS);
    }
  }, TIMEOUT_MS);
  afterAll(async () => {
    await pair?.stop();
    await engine?.stop();
  });

  async function ask(name: 'a' | 'b'): Promise<{ status: number; text: string }> {
    const response = await fetch(`${pair.urls[name]}/v1/completions`, {
      method: 'POST',
      headers: { 'x-api-key': pair.adminKey, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat', prompt: 'hi', max_tokens: 4 }),
    });
    return { status: response.status, text: await response.text() };
  }

  test(
    'the engine never has more than it may run, and every request is answered in its turn',
    async () => {
      // Longer than the node lets wait.
      await engine.script({ tokens: 4, everyMs: 400 });
      const inference = createClient(InferenceService, createGrpcTransport({ baseUrl: pair.urls.a }));
      const options = { headers: { authorization: `Bearer ${pair.adminKey}` } };
      let most = 0;
      let isOver = false;
      const watching = (async () => {
        while (!isOver) {
          const { engines } = await inference.listEngines({}, options);
          most = Math.max(most, engines[0]?.engine?.load?.running ?? 0);
        }
      })();
      const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => ask(at % 2 === 0 ? 'a' : 'b')));
      isOver = true;
      await watching;
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      expect(new Set(answers.map(({ text }) => JSON.parse(text).choices[0].text)).size).toBe(1);
      expect(most).toBe(PLACES);
    },
    TIMEOUT_MS,
  );
});
