import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis } from '../harness/redis.ts';
import { type RouterPair, startRouterPair } from '../harness/router-pair.ts';

type Name = 'a' | 'b';

const TIMEOUT_MS = 180_000;
const TOKENS = 40;
const prompt = { input: { case: 'text' as const, value: 'hi' } };

// The tests build on each other: each leaves both routers and the node as they were.
describe.runIf(hasRedis())('two routers beside each other', () => {
  let one: FakeEngine;
  let two: FakeEngine;
  let pair: RouterPair;

  beforeAll(async () => {
    [one, two] = await Promise.all([startFakeEngine(), startFakeEngine()]);
    const attached = (name: string, { baseUrl }: FakeEngine) => ({
      ...{ name, engine: 'openai', model: 'twin', base_url: baseUrl },
    });
    pair = await startRouterPair({ models: [attached('one', one), attached('two', two)] });
    for (const name of ['a', 'b'] as const) await ready(name);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await pair?.stop();
    await Promise.all([one?.stop(), two?.stop()]);
  });

  const transport = (name: Name) => createGrpcTransport({ baseUrl: pair.urls[name] });
  const admin = () => ({ headers: { authorization: `Bearer ${pair.adminKey}` } });

  async function nodeAt(name: Name) {
    const { nodes } = await createClient(RegistryService, transport(name)).listNodes({}, admin());
    return nodes.find(({ node }) => node === 'node');
  }

  const states = async (name: Name) => (await nodeAt(name))?.engines.map(({ state }) => state);
  const ready = (name: Name) =>
    eventually(`both engines are ready at ${name}`, async () => {
      const known = await states(name);
      return known?.length === 2 && known.every((state) => state === EngineState.READY);
    });

  /** Starts a stream and returns how it goes on, once its first token is here. */
  async function stream(name: Name, engine: string): Promise<{ whole: Promise<string> }> {
    const response = await fetch(`${pair.urls[name]}/v1/completions`, {
      method: 'POST',
      headers: { 'x-api-key': pair.adminKey, 'content-type': 'application/json', 'x-mesh-engine': engine },
      body: JSON.stringify({ model: 'twin', prompt: 'hi', max_tokens: TOKENS, stream: true }),
    });
    expect(response.status).toBe(200);
    const reader = (response.body ?? expect.fail('no body')).pipeThrough(new TextDecoderStream()).getReader();
    const first = await reader.read();
    async function rest(): Promise<string> {
      let text = first.value ?? '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return text;
        text += value;
      }
    }
    const whole = rest();
    // Some are meant to break before anybody waits for them.
    whole.catch(() => {});
    return { whole };
  }

  const held = { tokens: TOKENS, holdAtToken: 5 };
  const running = async () => (await one.counts()).running;

  async function take(name: Name): Promise<boolean> {
    const request = { model: 'twin', prompt, sampling: { maxTokens: 2 } };
    for await (const { event } of createClient(RouterService, transport(name)).generate(request, admin())) {
      if (event.case === 'usage') return true;
    }
    return false;
  }

  test('what runs by one router weighs at the other one', async () => {
    await one.script(held);
    const streams = await Promise.all([1, 2, 3].map(() => stream('a', 'one')));
    await eventually('b prefers the other engine', async () => {
      const explained = await createClient(RouterService, transport('b')).explainRoute(
        { request: { model: 'twin', prompt } },
        admin(),
      );
      const scoreOf = (name: string) => explained.candidates.find(({ engine }) => engine === name)?.score ?? 0;
      return scoreOf('one') > scoreOf('two') && explained.candidates[0]?.engine === 'two';
    });
    await one.go();
    for (const { whole } of streams) expect(await whole).toContain('[DONE]');
  }, 60_000);

  test('a drain that one router is asked for holds at both, and so does its end asked of the other; streams go on', async () => {
    await one.script(held);
    const { whole } = await stream('b', 'one');
    const drain = (name: Name, draining: boolean) =>
      createClient(RegistryService, transport(name)).drain({ node: 'node', draining }, admin());
    expect((await drain('a', true)).node?.draining).toBe(true);
    await expect(take('a')).rejects.toThrow(/unavailable/);
    await eventually('b knows', async () => (await nodeAt('b'))?.draining);
    await expect(take('b')).rejects.toThrow(/unavailable/);
    await one.go();
    expect(await whole).toContain('[DONE]');
    await drain('b', false);
    expect(await take('b')).toBe(true);
    await eventually('a knows', async () => (await nodeAt('a'))?.draining === false);
    expect(await take('a')).toBe(true);
    await expect(createClient(RegistryService, transport('a')).drain({ node: 'x' }, admin())).rejects.toThrow(
      /No node/,
    );
  }, 60_000);

  test(
    'a router that is killed takes no stream of the other with it, and is back',
    async () => {
      await one.script(held);
      const mine = await Promise.all([1, 2, 3, 4].map(() => stream('b', 'one')));
      const lost = await Promise.all([1, 2].map(() => stream('a', 'one')));
      await eventually('all run', async () => (await running()) === 6);
      await pair.kill('a');
      for (const { whole } of lost) await expect(whole).rejects.toThrow();
      await eventually('what the dead router ran has ended at its engine', async () => (await running()) === 4);
      await one.go();
      for (const { whole } of mine) {
        const text = await whole;
        expect(text.match(/ t\d+/g)).toEqual(Array.from({ length: TOKENS }, (_, i) => ` t${i}`));
        expect(text).toContain('[DONE]');
      }
      await pair.start('a');
      await ready('a');
      expect(await take('a')).toBe(true);
      const quota = createClient(QuotaService, transport('b'));
      await eventually('nothing stays held', async () => {
        return (await quota.listReservations({}, admin())).reservations.length === 0;
      });
    },
    TIMEOUT_MS,
  );

  test(
    'a node that falls silent is out at both routers, and back when it speaks',
    async () => {
      pair.node.child.kill('SIGSTOP');
      try {
        for (const name of ['a', 'b'] as const) {
          await eventually(`the node is out at ${name}`, async () => {
            return (await states(name))?.every((state) => state === EngineState.UNHEALTHY);
          });
          await expect(take(name)).rejects.toThrow(/unavailable/);
        }
      } finally {
        pair.node.child.kill('SIGCONT');
      }
      for (const name of ['a', 'b'] as const) {
        await ready(name);
        expect(await take(name)).toBe(true);
      }
    },
    TIMEOUT_MS,
  );
});
