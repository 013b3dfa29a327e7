import { type Client, createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { createRemoteTransport, type RemoteTransport } from '../../services/shared/transport/remote-transport.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { startGateways } from '../harness/gateways.ts';
import { type LedgerStore, readLedger } from '../harness/ledger.ts';
import { startMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis } from '../harness/redis.ts';

/** Keys that are revoked in a row, so that one hiccup of the machine decides nothing. */
const TRIES = 5;

/** What a revocation may take to reach everybody, in milliseconds. */
const PUSHED_WITHIN_MS = 250;

/** How long a revocation that nobody hears of may stay without effect, in milliseconds. */
const UNPUSHED_WITHIN_MS = 5_000;

interface Subject {
  readonly urls: readonly string[];
  readonly authUrl: string;
  readonly adminKey: string;
  readonly ledger: LedgerStore;
  stop(): Promise<void>;
}

interface Arrangement {
  readonly name: string;
  readonly isPushed: boolean;
  start(config: Record<string, unknown>): Promise<Subject>;
}

const onePlan: Arrangement = {
  name: 'one process',
  isPushed: true,
  async start(config) {
    const mesh = await startMesh('one process', { config });
    return { urls: [mesh.url], authUrl: mesh.url, adminKey: mesh.adminKey, ledger: mesh, stop: mesh.stop };
  },
};

function gateways(isPushed: boolean): Arrangement {
  return {
    name: `two gateways and two auth processes, ${isPushed ? 'revocations pushed' : 'nothing pushed'}`,
    isPushed,
    async start(config) {
      const mesh = await startGateways(config, isPushed);
      return { ...mesh, ledger: { redisUrl: mesh.redisUrl, dataDir: () => '' } };
    },
  };
}

const PLANS = hasRedis() ? [onePlan, gateways(true), gateways(false)] : [onePlan];

describe.each(PLANS)('revocation, $name', ({ isPushed, start }) => {
  let mesh: Subject;
  let engine: FakeEngine;
  let auth: Client<typeof AuthService>;
  let transport: RemoteTransport;

  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    mesh = await start({ inference: { models, devices: 'none' } });
    transport = createRemoteTransport(mesh.authUrl, {
      meshToken: undefined,
      interceptors: [
        (next) => (request) => {
          request.header.set('authorization', `Bearer ${mesh.adminKey}`);
          return next(request);
        },
      ],
    });
    auth = createClient(AuthService, transport);
  }, 150_000);
  afterAll(async () => {
    // Auth waits for who is connected before it leaves.
    transport?.close();
    await mesh?.stop();
    await engine?.stop();
  });

  async function newKey(): Promise<{ keyId: string; secret: string }> {
    const { apiKey, secret } = await auth.createApiKey({});
    return { keyId: apiKey?.keyId ?? '', secret };
  }

  async function isAccepted(url: string, secret: string): Promise<boolean> {
    const answer = await fetch(`${url}/v1/models`, { headers: { 'x-api-key': secret } });
    await answer.text();
    if (![200, 401].includes(answer.status)) throw new Error(`status ${answer.status}`);
    return answer.status === 200;
  }

  /** Asks until it is refused; returns how long after `sinceMs` the last request began that was accepted. */
  async function acceptedForMs(url: string, secret: string, sinceMs: number): Promise<number> {
    let lastMs = 0;
    for (;;) {
      const beginsMs = performance.now();
      if (!(await isAccepted(url, secret))) return lastMs;
      lastMs = beginsMs - sinceMs;
    }
  }

  /** Ends a key that every gateway has seen, and tells how long it was still good at each. */
  async function afterEnding(end: (keyId: string) => Promise<unknown>): Promise<number[]> {
    const { keyId, secret } = await newKey();
    for (const url of mesh.urls) expect(await isAccepted(url, secret)).toBe(true);
    await end(keyId);
    const endedMs = performance.now();
    return await Promise.all(mesh.urls.map((url) => acceptedForMs(url, secret, endedMs)));
  }

  function stream(url: string, secret: string): Promise<Response> {
    return fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': secret, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'fake',
        messages: [{ role: 'user', content: 'hi' }],
        max_tokens: 50,
        stream: true,
      }),
    });
  }

  if (isPushed) {
    test('a revoked key is refused everywhere at once', { timeout: 60_000 }, async () => {
      const times: number[] = [];
      for (let i = 0; i < TRIES; i += 1) times.push(...(await afterEnding((keyId) => auth.revokeApiKey({ keyId }))));
      expect(median(times)).toBeLessThanOrEqual(PUSHED_WITHIN_MS);
      expect(Math.max(...times)).toBeLessThanOrEqual(UNPUSHED_WITHIN_MS);
    });

    test('so is the old secret of a key that is rotated without a grace time', { timeout: 60_000 }, async () => {
      const grace = { seconds: 0n, nanos: 0 };
      const times: number[] = [];
      for (let i = 0; i < TRIES; i += 1) {
        times.push(...(await afterEnding((keyId) => auth.rotateApiKey({ keyId, grace }))));
      }
      expect(median(times)).toBeLessThanOrEqual(PUSHED_WITHIN_MS);
    });

    test('a running stream goes on unless it is to be cut, and is charged what it delivered', async () => {
      await engine.script({ atToken: 5, tokens: 50, fault: 'hang' });
      const { keyId, secret } = await newKey();
      const url = mesh.urls.at(-1) ?? '';
      const answer = await stream(url, secret);
      const reading = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes(' t4')) text += (await reading?.read())?.value ?? expect.fail(text);
      await auth.revokeApiKey({ keyId });
      await eventually('the key is refused', async () => !(await isAccepted(url, secret)));
      expect((await engine.counts()).running).toBe(1);
      await auth.revokeApiKey({ keyId, cutRunningStreams: true });
      for (let part = await reading?.read(); !part?.done; part = await reading?.read()) text += part?.value ?? '';
      expect(text).toMatch(/data: \{"error":.*invalid_api_key/);
      expect(text).not.toContain('[DONE]');
      await eventually('the engine was told', async () => (await engine.counts()).running === 0);
      const ledger = await eventually('it is settled', async () => {
        const found = await readLedger(mesh.ledger, keyId);
        return found.held === 0 ? found : undefined;
      });
      expect(ledger).toMatchObject({ requests: 1, completionTokens: 5 });
    });
  } else {
    test('a revoked key is good for longer than it may be, but never for more than 5 s', {
      timeout: 60_000,
    }, async () => {
      const times = await afterEnding((keyId) => auth.revokeApiKey({ keyId }));
      expect(Math.max(...times)).toBeGreaterThan(PUSHED_WITHIN_MS);
      expect(Math.max(...times)).toBeLessThanOrEqual(UNPUSHED_WITHIN_MS);
    });
  }
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
