import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';
import { type FleetMesh, startFleetMesh } from '../harness/fleet-mesh.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis, startRedis } from '../harness/redis.ts';
import { chat, engineStates, newPayer, settled, textOf, tokenTexts } from './caller.ts';

const TOKENS = 12;
const REQUESTS = 60;
/** What auth and quota answer meanwhile. */
const STORE_IS_AWAY = /(The store does not answer|Limits cannot be checked now)\. Try again shortly/;
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 180_000;

// Three engines on a node of their own; auth, quota and router reach Redis over a proxy that loses its replies.
describe.runIf(hasRedis())('engines that break under a store whose replies are lost', () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let proxy: FaultProxy;
  let mesh: FleetMesh;
  let engines: FakeEngine[];
  const directory = mkdtempSync(join(tmpdir(), 'mesh-pepper-'));

  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startFaultProxy(Number(new URL(redis.url).port));
    engines = await Promise.all([1, 2, 3].map(() => startFakeEngine()));
    const entry = { engine: 'openai', model: 'twin', required: true, continues_chat: 'last_message' };
    const models = engines.map(({ baseUrl }, at) => ({ ...entry, name: `e${at}`, base_url: baseUrl }));
    const pepperFile = join(directory, 'pepper');
    writeFileSync(pepperFile, 'test-pepper-0123456789abcdef0123456789abcdef');
    const env = { REDIS_URL: `redis://127.0.0.1:${proxy.port}`, MESH_PEPPER_FILE: pepperFile };
    const sections = { server: { store_timeout_ms: 1_500 }, router: { retry: { budget_percent: 100 } } };
    const node = { name: 'node', roles: 'inference', inference: { models }, args: ['--model', 'none'] };
    mesh = await startFleetMesh([{ name: 'front', roles: 'facade' }, node], env, sections);
    await eventually('all are ready', async () => {
      return (await engineStates(mesh)).filter((state) => state === EngineState.READY).length === engines.length;
    });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await proxy?.close();
    await redis?.server.stop('SIGKILL');
    await Promise.all((engines ?? []).map((engine) => engine.stop()));
    rmSync(directory, { recursive: true, force: true });
  });

  test(
    'what is delivered is charged, once, however often a request was tried',
    async () => {
      const payer = await newPayer(mesh, 'unlimited');
      const [first, second, third] = engines;
      await first?.script({ status: 500 });
      await second?.script({ tokens: TOKENS, continues: true, fault: 'reset', atToken: 5 });
      await third?.script({ tokens: TOKENS, continues: true });
      for (let request = 0; request < REQUESTS; request += 1) {
        // Some replies are those that the next request waits for, others answer reports and bills of those before.
        if (request % 3 === 0) proxy.dropNextReply();
        const stream = await eventually('the store has answered', async () => {
          const answer = await chat(mesh, payer, { max_tokens: TOKENS });
          const stream = await answer.text();
          return answer.status === 503 && STORE_IS_AWAY.test(stream) ? undefined : stream;
        });
        expect(textOf(stream), `request ${request}: ${stream}`).toBe(tokenTexts(TOKENS));
      }
      expect(proxy.droppedReplies()).toBeGreaterThanOrEqual(REQUESTS / 6);
      const ledger = await settled({ redisUrl: redis.url, dataDir: (role) => mesh.dataDir(role) }, payer);
      expect(ledger).toMatchObject({ requests: REQUESTS, completionTokens: REQUESTS * TOKENS });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'on a way of 50 ms to the store everything works',
    async () => {
      const payer = await eventually('the store answers', () => newPayer(mesh, 'unlimited'));
      for (const engine of engines) await engine.script({ tokens: TOKENS });
      proxy.delay(50);
      const streams = await Promise.all(Array.from({ length: 10 }, async () => (await chat(mesh, payer)).text()));
      proxy.delay(0);
      for (const stream of streams) expect(textOf(stream)).toBe(tokenTexts(TOKENS));
      const ledger = await settled({ redisUrl: redis.url, dataDir: (role) => mesh.dataDir(role) }, payer);
      expect(ledger).toMatchObject({ requests: 10, completionTokens: 10 * TOKENS });
    },
    TEST_TIMEOUT_MS,
  );
});
