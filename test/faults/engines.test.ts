import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';
import { busyOf, chat, engineStates, isBroken, newPayer, type Payer, settled, textOf, tokenTexts } from './caller.ts';

const TOKENS = 12;
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 120_000;
/** More than a breaker takes. */
const FAILURES = 10;

describe.each(arrangements())('engines that fail, %s', (arrangement) => {
  let mesh: TestMesh;
  let engines: FakeEngine[];
  let payer: Payer;

  beforeAll(async () => {
    engines = await Promise.all([1, 2, 3].map(() => startFakeEngine()));
    const models = engines.map(({ baseUrl }, at) => ({
      ...{ name: `e${at}`, engine: 'openai', model: at === 2 ? 'alone' : 'twin', base_url: baseUrl },
      ...{ required: true, continues_chat: 'last_message' },
    }));
    const router = { timeout_seconds: { first_token: 3, between_tokens: 3 } };
    mesh = await startMesh(arrangement, { config: { inference: { models }, router } });
    payer = await newPayer(mesh, 'unlimited');
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await Promise.all(engines.map((engine) => engine.stop()));
  });

  const scriptAll = (script: FakeScript) =>
    Promise.all(engines.map((engine) => engine.script({ tokens: TOKENS, continues: true, ...script })));
  beforeEach(() => scriptAll({}));

  const pinned = (name: string, body: object = {}) =>
    chat(mesh, { secret: mesh.adminKey }, body, { 'x-mesh-engine': name });

  /** How many generations have come to an engine. */
  async function asked(engine: FakeEngine | undefined): Promise<number> {
    const counts = await engine?.counts();
    return counts ? counts.running + counts.served + counts.aborted : 0;
  }

  test.each<[string, FakeScript, boolean]>([
    ['its own errors take it out', { status: 500 }, true],
    ['streams that break off do', { fault: 'reset', atToken: 2 }, true],
    ['bad requests do not', { status: 400, body: { error: { message: 'no' } } }, false],
    ['a limit that it tells does not', { status: 429 }, false],
    ['nor does being busy', { status: 503 }, false],
  ])(
    'of an engine that fails again and again: %s',
    async (_what, script, isOut) => {
      const [engine] = engines;
      await engine?.script({ tokens: TOKENS, ...script });
      const reached: boolean[] = [];
      while (reached.length < FAILURES && reached.at(-1) !== false) {
        const before = await asked(engine);
        const answer = await pinned('e0', { resume: 'never' });
        const text = await answer.text();
        expect(answer.status >= 400 || isBroken(text), `${answer.status} ${text}`).toBe(true);
        reached.push((await asked(engine)) > before);
      }
      expect(reached.at(-1)).toBe(!isOut);
      await engine?.script({ tokens: TOKENS });
      expect(textOf(await (await chat(mesh, payer)).text())).toBe(tokenTexts(TOKENS));
      await eventually('it is back', async () => (await pinned('e0')).status === 200);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'while one of two fails every request is answered, and it is asked no more than now and then',
    async () => {
      const [bad] = engines;
      await bad?.script({ status: 500 });
      const before = await asked(bad);
      const startedAtMs = performance.now();
      for (let request = 0; request < 60; request += 1) {
        // Conversations of their own, so that none follows another to its engine.
        const messages = [{ role: 'user', content: `${request} and more` }];
        const stream = await (await chat(mesh, payer, { messages })).text();
        expect(textOf(stream), `request ${request}: ${stream}`).toBe(tokenTexts(TOKENS));
      }
      // It is out after five, then asked by one request after 1 s, 2 s, 4 s, …
      const trials = Math.ceil(Math.log2(2 + (performance.now() - startedAtMs) / 1_000));
      expect((await asked(bad)) - before).toBeLessThanOrEqual(5 + trials);
      await bad?.script({ tokens: TOKENS });
      await eventually('it is back', async () => (await pinned('e0')).status === 200);
    },
    TEST_TIMEOUT_MS,
  );

  test.each<[string, FakeScript]>([
    ['does not answer', { headersMs: 1_000 }],
    ['accepts the request', { firstTokenMs: 60_000 }],
  ])(
    'one that %s and makes no token is left at the limit of that; another one answers, charged once',
    async (_what, script) => {
      const payer = await newPayer(mesh, 'unlimited');
      await scriptAll(script);
      const answering = chat(mesh, payer);
      const hung = await busyOf(engines);
      if (script.headersMs) hung.child.kill('SIGSTOP');
      try {
        await Promise.all(
          engines.filter((engine) => engine !== hung).map((engine) => engine.script({ tokens: TOKENS })),
        );
        const answer = await answering;
        expect(answer.status).toBe(200);
        expect(textOf(await answer.text())).toBe(tokenTexts(TOKENS));
        expect(await settled(mesh, payer)).toMatchObject({ requests: 1, completionTokens: TOKENS });
      } finally {
        hung.child.kill('SIGCONT');
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'the only one of its model hangs before its first token: 504 at the limit, and nothing is charged that was not delivered',
    async () => {
      const payer = await newPayer(mesh, 'unlimited');
      await scriptAll({ headersMs: 1_000 });
      const answering = chat(mesh, payer, { model: 'alone' });
      const hung = await busyOf(engines);
      hung.child.kill('SIGSTOP');
      try {
        const answer = await answering;
        expect(answer.status).toBe(504);
        expect(await settled(mesh, payer)).toMatchObject({ completionTokens: 0 });
      } finally {
        hung.child.kill('SIGCONT');
      }
      await eventually('it is back', async () => !(await engineStates(mesh)).includes(EngineState.UNHEALTHY));
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'the only one of its model is killed before its first token: told within a second, when to come again, and nothing is charged',
    async () => {
      const payer = await newPayer(mesh, 'unlimited');
      await scriptAll({ headersMs: 60_000 });
      const answering = chat(mesh, payer, { model: 'alone' });
      await busyOf(engines);
      await engines[2]?.stop();
      const killedAtMs = performance.now();
      const answer = await answering;
      expect(performance.now() - killedAtMs).toBeLessThan(stretched(1_000));
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await settled(mesh, payer)).toMatchObject({ requests: 0, promptTokens: 0, completionTokens: 0 });
      await eventually('it is out', async () => (await engineStates(mesh)).includes(EngineState.UNHEALTHY));
    },
    TEST_TIMEOUT_MS,
  );
});
