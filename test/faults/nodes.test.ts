import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type FleetMesh, startFleetMesh, type Ways } from '../harness/fleet-mesh.ts';
import { eventually } from '../harness/processes.ts';
import { busyOf, chat, engineStates, isBroken, newPayer, type Payer, settled, textOf, tokenTexts } from './caller.ts';

const TOKENS = 60;
const HELD_AT = 10;
const DRAIN_SECONDS = 2;
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 120_000;

// Each node runs one engine of the same model; facade and nodes reach the router, and are reached, over proxies. The last test
// ends a node.
describe('what is between the processes breaks', () => {
  let mesh: FleetMesh;
  let engines: FakeEngine[];
  let payer: Payer;

  beforeAll(async () => {
    engines = await Promise.all([startFakeEngine(), startFakeEngine()]);
    const entry = { name: 'e', engine: 'openai', model: 'twin', required: true, continues_chat: 'last_message' };
    const nodes = engines.map(({ baseUrl }, at) => ({
      ...{ name: `node${at}`, roles: 'inference', args: ['--model', 'none'], isBehindProxies: true },
      inference: { models: [{ ...entry, base_url: baseUrl }] },
    }));
    const front = { name: 'front', roles: 'facade', isBehindProxies: true };
    const sections = { router: { timeout_seconds: { between_tokens: 5 } }, server: { drain_seconds: DRAIN_SECONDS } };
    mesh = await startFleetMesh([front, ...nodes], {}, sections);
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await Promise.all(engines.map((engine) => engine.stop()));
  });

  beforeEach(async () => {
    for (const engine of engines) await engine.script({ tokens: TOKENS, continues: true, holdAtToken: HELD_AT });
    await bothReady();
    payer = await newPayer(mesh, 'unlimited');
  }, TEST_TIMEOUT_MS);

  const ready = async () => (await engineStates(mesh)).filter((state) => state === EngineState.READY).length;
  const bothReady = () => eventually('both engines are ready', async () => (await ready()) === 2);
  const idle = () =>
    eventually('nothing runs at any engine', async () => {
      for (const engine of engines) if ((await engine.counts()).running > 0) return false;
      return true;
    });
  const go = () => Promise.all(engines.map((engine) => engine.go()));

  function waysOf(name: string): Ways {
    return mesh.ways.get(name) ?? expect.fail(`${name} is behind no proxies`);
  }

  /** Starts a stream that waits for `go`, and tells the ways to its node. */
  async function held(body: object = {}): Promise<{ answer: Response; ways: Ways }> {
    const answer = await chat(mesh, payer, body);
    return { answer, ways: waysOf(`node${engines.indexOf(await busyOf(engines))}`) };
  }

  async function expectWhole(answer: Response): Promise<void> {
    const stream = await answer.text();
    expect(textOf(stream)).toBe(tokenTexts(TOKENS));
    expect(stream.match(/^: resumed attempt=2 from_token=\d+$/gm)).toHaveLength(1);
    expect(stream.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(await settled(ledger(), payer)).toMatchObject({ requests: 1, completionTokens: TOKENS });
  }

  const ledger = () => ({ redisUrl: undefined, dataDir: () => mesh.dataDir('core') });

  test.each<[string, (ways: Ways) => void]>([
    ['is cut', ({ toProcess }) => toProcess.cut()],
    ['is reset', ({ toProcess }) => toProcess.reset()],
    ['is reset in the middle of a message', ({ toProcess }) => toProcess.resetAfter(60)],
    [
      'takes nothing any more, nor does its node report',
      ({ toProcess, toRouter }) => {
        toProcess.freeze();
        toRouter.freeze();
      },
    ],
  ])(
    'the trunk to a node %s: streams go on at another one, and the node is back',
    async (_what, harm) => {
      const { answer, ways } = await held();
      harm(ways);
      await go();
      await expectWhole(answer);
      // The node finds out by itself that nobody reads any more.
      await idle();
      for (const proxy of Object.values(ways)) proxy.thaw();
      await bothReady();
      const again = await chat(mesh, payer);
      expect(textOf(await again.text())).toBe(tokenTexts(TOKENS));
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a stream that refuses to go on breaks with its trunk, and is charged what was delivered',
    async () => {
      const { answer, ways } = await held({ resume: 'never' });
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      let stream = '';
      while (!stream.includes(` t${HELD_AT - 1}"`)) stream += (await reader?.read())?.value ?? expect.fail(stream);
      ways.toProcess.reset();
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) stream += part.value;
      expect(isBroken(stream), stream).toBe(true);
      expect(textOf(stream)).toBe(tokenTexts(HELD_AT));
      await idle();
      expect(await settled(ledger(), payer)).toMatchObject({ requests: 1, completionTokens: HELD_AT });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a node that does not report is out within its lease although it can be reached; its streams go on there',
    async () => {
      const { answer, ways } = await held();
      ways.toRouter.freeze();
      await eventually('it is out', async () => (await ready()) === 1);
      await go();
      const stream = await answer.text();
      expect(textOf(stream)).toBe(tokenTexts(TOKENS));
      expect(stream).not.toContain(': resumed');
      ways.toRouter.thaw();
      await bothReady();
    },
    TEST_TIMEOUT_MS,
  );

  test.each<[string, (ways: Ways) => void]>([
    ['is reset', ({ toRouter }) => toRouter.reset()],
    ['takes nothing any more', ({ toRouter }) => toRouter.freeze()],
  ])(
    'the trunk from facade to router %s: the stream breaks, its engine is free, and what was delivered is charged',
    async (_what, harm) => {
      const { answer } = await held();
      const ways = waysOf('front');
      harm(ways);
      const stream = await answer.text();
      expect(isBroken(stream), stream).toBe(true);
      // Not `engine_lost`: the engine was well.
      expect(stream).toMatch(
        /"The router was lost[^"]*","type":"server_error","param":null,"code":"service_unavailable"/,
      );
      await idle();
      ways.toRouter.thaw();
      expect(await settled(ledger(), payer)).toMatchObject({ requests: 1, completionTokens: HELD_AT });
      await go();
      const again = await eventually('the facade reaches the router', async () => {
        const answer = await chat(mesh, payer);
        return answer.ok ? answer : undefined;
      });
      expect(textOf(await again.text())).toBe(tokenTexts(TOKENS));
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'on ways that take 100 ms everything works',
    async () => {
      const everyProxy = [...mesh.ways.values()].flatMap((ways) => Object.values(ways));
      for (const proxy of everyProxy) proxy.delay(100);
      try {
        await go();
        const streams = await Promise.all(Array.from({ length: 10 }, async () => (await chat(mesh, payer)).text()));
        for (const stream of streams) expect(textOf(stream)).toBe(tokenTexts(TOKENS));
        expect(await ready()).toBe(2);
      } finally {
        for (const proxy of everyProxy) proxy.delay(0);
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a node is told to end: what it cannot finish in its time goes on elsewhere, charged once, and nothing new comes to it',
    async () => {
      const { answer, ways } = await held();
      const at = [0, 1].find((number) => waysOf(`node${number}`) === ways) ?? expect.fail('no such node');
      const node = mesh.processes.get(`node${at}`)?.child ?? expect.fail('no such process');
      const ended = new Promise((resolve) => node.once('exit', (code, signal) => resolve([code, signal])));
      const [ending, other] = [engines[at], engines[1 - at]];
      node.kill('SIGTERM');
      await eventually('it takes nothing new', async () => (await ready()) === 1);
      await other?.go();
      const comeTo = async (engine: FakeEngine | undefined): Promise<number> => {
        const { running = 0, served = 0, aborted = 0 } = (await engine?.counts()) ?? {};
        return running + served + aborted;
      };
      const before = await comeTo(ending);
      for (let request = 0; request < 4; request += 1) {
        expect(textOf(await (await chat(mesh, await newPayer(mesh, 'unlimited'))).text())).toBe(tokenTexts(TOKENS));
      }
      expect(await comeTo(ending)).toBe(before);
      // The one that it has waits for a word that never comes.
      await expectWhole(answer);
      expect(await ended).toEqual([0, null]);
      await idle();
    },
    TEST_TIMEOUT_MS,
  );
});
