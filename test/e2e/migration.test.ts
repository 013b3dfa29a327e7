import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';
import { type Ledger, readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const TOKENS = 40;
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 120_000;
const WHOLE = Array.from({ length: TOKENS }, (_, at) => ` t${at}`).join('');

/** Engines that go on from what the prompt ends with, and wait for the test at a token. */
const script = (more: FakeScript = {}): FakeScript => ({ continues: true, tokens: TOKENS, ...more });

/** The text of an event stream. */
function textOf(stream: string): string {
  const events = [...stream.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json ?? ''));
  return events.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join('');
}

const migrations = [
  ['on', {}],
  ['off', { migration: { enabled: false }, retry: { max_attempts: 1 } }],
] as const;
const cells = arrangements().flatMap((arrangement) =>
  migrations.map(([is, router]) => [arrangement, is, router] as const),
);

describe.each(cells)('a stream survives its engine, %s, migration %s', (arrangement, is, router) => {
  let mesh: TestMesh;
  let engines: FakeEngine[];
  let key: { id: string; secret: string };
  const isOn = is === 'on';

  beforeAll(async () => {
    engines = await Promise.all([startFakeEngine(script()), startFakeEngine(script())]);
    const models = engines.map(({ baseUrl }, at) => ({
      ...{ name: `e${at}`, engine: 'openai', model: 'twin', continues_chat: 'last_message' },
      ...{ base_url: baseUrl, required: true },
    }));
    const config = { inference: { models }, router: { ...router, timeout_seconds: { between_tokens: 3 } } };
    mesh = await startMesh(arrangement, { config });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.stop();
    await Promise.all(engines.map((engine) => engine.stop()));
  });

  const transport = () => createGrpcTransport({ baseUrl: mesh.url });
  const bearer = (secret: string) => ({ headers: { authorization: `Bearer ${secret}` } });

  beforeEach(async () => {
    await Promise.all(engines.map((engine) => engine.script(script())));
    const inference = createClient(InferenceService, transport());
    await eventually('both engines are ready', async () => {
      const { engines: known } = await inference.listEngines({}, bearer(mesh.adminKey));
      return known.filter(({ engine }) => engine?.state === EngineState.READY).length === 2;
    });
    const auth = createClient(AuthService, transport());
    const { apiKey, secret } = await auth.createApiKey({ tier: 'standard' }, bearer(mesh.adminKey));
    key = { id: apiKey?.keyId ?? '', secret };
  }, TEST_TIMEOUT_MS);

  function chat(body: object = {}, secret = key.secret): Promise<Response> {
    const messages = [{ role: 'user', content: 'hi' }];
    return fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': secret, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'twin', messages, max_tokens: TOKENS, stream: true, ...body }),
    });
  }

  const scriptAll = (more: FakeScript) => Promise.all(engines.map((engine) => engine.script(script(more))));

  /** Which engine has the request. */
  const busy = () =>
    eventually('an engine has the request', async () => {
      for (const engine of engines) if ((await engine.counts()).running === 1) return engine;
      return undefined;
    });

  async function kill(engine: FakeEngine): Promise<void> {
    await engine.stop();
    await Promise.all(engines.filter((other) => other !== engine).map((other) => other.go()));
    engines[engines.indexOf(engine)] = await startFakeEngine(script(), engine.port);
  }

  /** Reads until the text has so many tokens, then the rest. */
  async function killAfter(answer: Response, tokens: number): Promise<string> {
    let stream = '';
    let isDead = tokens === 0;
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      stream += part;
      if (isDead || !textOf(stream).includes(` t${tokens - 1}`)) continue;
      isDead = true;
      await kill(await busy());
    }
    return stream;
  }

  const settled = (): Promise<Ledger> =>
    eventually('everything is settled', async () => {
      const ledger = await readLedger(mesh, key.id);
      return ledger.held === 0 ? ledger : undefined;
    });

  const expectBroken = (stream: string): void => {
    expect(stream).toMatch(/data: \{"error":/);
    expect(stream).not.toContain('[DONE]');
    expect(stream).not.toMatch(/"finish_reason":"/);
  };

  test.each([1, 25])(
    'its engine is killed after %i tokens',
    async (tokens) => {
      await scriptAll({ holdAtToken: tokens });
      const stream = await killAfter(await chat({ stream_options: { include_usage: true } }), tokens);
      if (isOn) {
        expect(textOf(stream)).toBe(WHOLE);
        expect(stream).toContain(`: resumed attempt=2 from_token=${tokens}\n\n`);
        expect(stream.endsWith('data: [DONE]\n\n')).toBe(true);
        expect(stream).toContain(`"completion_tokens":${TOKENS}`);
      } else {
        expectBroken(stream);
        expect(textOf(stream)).toBe(WHOLE.slice(0, WHOLE.indexOf(` t${tokens}`)));
      }
      expect(await settled()).toMatchObject({ requests: 1, completionTokens: isOn ? TOKENS : tokens });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a caller of gRPC is told who goes on',
    async () => {
      await scriptAll({ holdAtToken: 5 });
      const request = {
        model: 'twin',
        prompt: { input: { case: 'text' as const, value: 'Once' } },
        sampling: { maxTokens: TOKENS },
      };
      const told: string[] = [];
      let text = '';
      const read = async (): Promise<void> => {
        for await (const { event } of createClient(RouterService, transport()).generate(request, bearer(key.secret))) {
          if (event.case === 'resumed') told.push(`${event.value.attempt} from ${event.value.fromToken}`);
          if (event.case !== 'delta') continue;
          text += event.value.text;
          if (event.value.completionTokens === 5) await kill(await busy());
        }
      };
      if (isOn) await read();
      else await expect(read()).rejects.toMatchObject({ rawMessage: expect.stringContaining('broke off') });
      expect(text).toBe(isOn ? WHOLE : WHOLE.slice(0, WHOLE.indexOf(' t5')));
      expect(told).toEqual(isOn ? ['2 from 5'] : []);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'its engine hangs',
    async () => {
      await scriptAll({ holdAtToken: 7 });
      const answer = await chat();
      const hung = await busy();
      hung.child.kill('SIGSTOP');
      await Promise.all(engines.filter((other) => other !== hung).map((other) => other.go()));
      const stream = await answer.text();
      hung.child.kill('SIGCONT');
      await hung.go();
      if (isOn) expect(textOf(stream)).toBe(WHOLE);
      else expectBroken(stream);
      expect(await settled()).toMatchObject({ requests: 1, completionTokens: isOn ? TOKENS : 7 });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'its engine is killed before the first token',
    async () => {
      await scriptAll({ headersMs: 2_000 });
      const asked = chat();
      await kill(await busy());
      const answer = await asked;
      expect(answer.status < 400).toBe(isOn);
      const stream = await answer.text();
      expect(stream).not.toContain(': resumed');
      if (isOn) expect(textOf(stream)).toBe(WHOLE);
      expect(await settled()).toMatchObject({ requests: isOn ? 1 : 0, completionTokens: isOn ? TOKENS : 0 });
    },
    TEST_TIMEOUT_MS,
  );

  test.runIf(isOn)(
    'an engine that fails every request is left alone, and used again when it works',
    async () => {
      // The same start would go where it was computed before.
      const unlike = (at: number) => ({ stream: false, messages: [{ role: 'user', content: `${at}` }] });
      const [bad] = engines;
      if (!bad) throw new Error('no engine');
      await bad.script(script({ status: 500, warmUpToo: true }));
      const before = (await bad.counts()).served;
      for (let i = 0; i < 40; i += 1) expect((await chat(unlike(i), mesh.adminKey)).status).toBe(200);
      // Five in a row, and what tries it again: one after a second, the next after two.
      expect((await bad.counts()).served - before).toBeLessThanOrEqual(5 + 4);
      await bad.script(script());
      const failed = (await bad.counts()).served;
      await eventually('it is used again', async () => {
        await chat(unlike(performance.now()), mesh.adminKey);
        return (await bad.counts()).served >= failed + 3;
      });
    },
    TEST_TIMEOUT_MS,
  );

  test.each([
    ['a request that refuses it', { resume: 'never' }],
    ['several choices', { n: 2 }],
    ['an answer that is held to a form', { response_format: { type: 'json_object' } }],
  ])(
    'what cannot go on breaks where its engine did: %s',
    async (_what, body) => {
      await scriptAll({ holdAtToken: 3 });
      const stream = await killAfter(await chat(body), 3);
      expectBroken(stream);
      expect(stream).not.toContain(': resumed');
    },
    TEST_TIMEOUT_MS,
  );
});
