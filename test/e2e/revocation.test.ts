import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '@connectrpc/connect';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { createRemoteTransport, type RemoteTransport } from '../../services/shared/transport/remote-transport.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { startGateways } from '../harness/gateways.ts';
import { type Ledger, type LedgerStore, readLedger } from '../harness/ledger.ts';
import { startMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis } from '../harness/redis.ts';

/** Keys that are revoked in a row, so that one hiccup of the machine decides nothing. */
const TRIES = 5;

const PASSWORD = 'correct horse battery';

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

interface RunningStream {
  /** Reads on to the end; resolves to all of its text. */
  rest(): Promise<string>;
  leave(): void;
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
      // Without a pause the questions themselves would hold up what is measured.
      await delay(20);
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

  function stream(url: string, secret: string, signal?: AbortSignal): Promise<Response> {
    return fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      ...(signal ? { signal } : {}),
      headers: { 'x-api-key': secret, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'fake',
        messages: [{ role: 'user', content: 'hi' }],
        max_tokens: 50,
        stream: true,
      }),
    });
  }

  /** Of a new user, who logs in for it. */
  async function newToken(userId: string): Promise<string> {
    await auth.createUser({ userId, password: PASSWORD });
    return await login(userId);
  }

  async function login(username: string): Promise<string> {
    return (await auth.login({ username, password: PASSWORD })).accessToken;
  }

  /** Asks for a stream at each gateway, with the credential as token or as key, and waits until each has sent something. */
  async function runningStreams(secret: string): Promise<RunningStream[]> {
    await engine.script({ atToken: 5, tokens: 50, fault: 'hang' });
    return await Promise.all(
      mesh.urls.map(async (url) => {
        const leaving = new AbortController();
        const answer = await stream(url, secret, leaving.signal);
        const reading = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        while (!text.includes(' t4')) text += (await reading?.read())?.value ?? expect.fail(text);
        const rest = async (): Promise<string> => {
          for (let part = await reading?.read(); !part?.done; part = await reading?.read()) text += part?.value ?? '';
          return text;
        };
        return { rest, leave: () => leaving.abort() };
      }),
    );
  }

  async function expectCut(streams: readonly RunningStream[], stillRunning = 0): Promise<void> {
    for (const text of await Promise.all(streams.map(({ rest }) => rest()))) {
      expect(text).toMatch(/data: \{"error":.*invalid_api_key/);
      expect(text).not.toContain('[DONE]');
    }
    await eventually('the engine was told', async () => (await runningCount()) === stillRunning);
  }

  /** What was charged to a key or a token, when nothing is held any more. */
  async function settled(keyId: string): Promise<Ledger> {
    return await eventually('it is settled', async () => {
      const found = await readLedger(mesh.ledger, keyId);
      return found.held === 0 ? found : undefined;
    });
  }

  const runningCount = async () => (await engine.counts()).running;

  if (isPushed) {
    test('a revoked key is refused everywhere at once', { timeout: 60_000 }, async () => {
      const times: number[] = [];
      for (let i = 0; i < TRIES; i += 1) times.push(...(await afterEnding((keyId) => auth.revokeApiKey({ keyId }))));
      expect(median(times)).toBeLessThanOrEqual(stretched(PUSHED_WITHIN_MS));
      expect(Math.max(...times)).toBeLessThanOrEqual(stretched(UNPUSHED_WITHIN_MS));
    });

    test('so is the old secret of a key that is rotated without a grace time', { timeout: 60_000 }, async () => {
      const grace = { seconds: 0n, nanos: 0 };
      const times: number[] = [];
      for (let i = 0; i < TRIES; i += 1) {
        times.push(...(await afterEnding((keyId) => auth.rotateApiKey({ keyId, grace }))));
      }
      expect(median(times)).toBeLessThanOrEqual(stretched(PUSHED_WITHIN_MS));
    });

    test('a running stream goes on unless it is to be cut, and is charged what it delivered', async () => {
      const { keyId, secret } = await newKey();
      const streams = await runningStreams(secret);
      const url = mesh.urls.at(-1) ?? '';
      await auth.revokeApiKey({ keyId });
      await eventually('the key is refused', async () => !(await isAccepted(url, secret)));
      expect(await runningCount()).toBe(streams.length);
      await auth.revokeApiKey({ keyId, cutRunningStreams: true });
      await expectCut(streams);
      expect(await settled(keyId)).toMatchObject({ requests: streams.length, completionTokens: 5 * streams.length });
    });

    test('the streams of a user who is disabled are cut everywhere, those of others go on', {
      timeout: 120_000,
    }, async () => {
      const [token, other] = [await newToken('ann'), await newToken('bob')];
      const [streams, others] = [await runningStreams(token), await runningStreams(other)];
      expect(await runningCount()).toBe(streams.length + others.length);
      await auth.disableUser({ userId: 'ann' });
      await expectCut(streams, others.length);
      for (const url of mesh.urls) expect(await isAccepted(url, token)).toBe(false);
      for (const { leave } of others) leave();
      await eventually('the others have left', async () => (await runningCount()) === 0);
      const ledger = await settled(decodeJwt(token).jti ?? '');
      expect(ledger).toMatchObject({ requests: streams.length, completionTokens: 5 * streams.length });

      await auth.enableUser({ userId: 'ann' });
      const anew = await login('ann');
      for (const url of mesh.urls) {
        expect([await isAccepted(url, token), await isAccepted(url, anew)]).toEqual([false, true]);
      }
    });

    test('a leaked signing key cuts the streams of its own tokens only', { timeout: 120_000 }, async () => {
      const token = await newToken('cleo');
      const streams = await runningStreams(token);
      const { signingKeyId } = await auth.rotateSigningKey({});
      await auth.rotateSigningKey({ leaked: true, signingKeyId, cutRunningStreams: true });
      for (const url of mesh.urls) expect(await isAccepted(url, token)).toBe(true);
      expect(await runningCount()).toBe(streams.length);
      const { kid = '' } = decodeProtectedHeader(token);
      await auth.rotateSigningKey({ leaked: true, signingKeyId: kid, cutRunningStreams: true });
      await expectCut(streams);
      const anew = await login('cleo');
      for (const url of mesh.urls) {
        expect([await isAccepted(url, token), await isAccepted(url, anew)]).toEqual([false, true]);
      }
    });
  } else {
    test('a revoked key is good for longer than it may be, but never for more than 5 s', {
      timeout: 60_000,
    }, async () => {
      const times = await afterEnding((keyId) => auth.revokeApiKey({ keyId }));
      expect(Math.max(...times)).toBeGreaterThan(PUSHED_WITHIN_MS);
      expect(Math.max(...times)).toBeLessThanOrEqual(stretched(UNPUSHED_WITHIN_MS));
    });
  }
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
