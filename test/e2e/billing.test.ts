import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { sendUntilStored } from '../harness/answers.ts';
import { type Ledger, readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';

describe.each(arrangements())('limits and bills, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let key: { id: string; secret: string };
  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    mesh = await startMesh(arrangement, { config: { inference: { models } } });
  });
  afterAll(async () => {
    await mesh.stop();
    await engine.stop();
  });
  beforeEach(async () => {
    key = await newKey('standard');
  });

  const transport = () => createGrpcTransport({ baseUrl: mesh.url });

  async function newKey(tier: string): Promise<{ id: string; secret: string }> {
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const { apiKey, secret } = await createClient(AuthService, transport()).createApiKey({ tier }, { headers });
    return { id: apiKey?.keyId ?? '', secret };
  }

  function chat(body: Record<string, unknown> = {}, signal?: AbortSignal): Promise<Response> {
    const whole = { model: 'fake', messages: [{ role: 'user', content: 'hi' }], max_tokens: 4, ...body };
    return fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': key.secret, 'content-type': 'application/json' },
      body: JSON.stringify(whole),
      ...(signal ? { signal } : {}),
    });
  }

  /** The ledger once nothing is held any more: settlement runs behind the answer. */
  function settled(): Promise<Ledger> {
    return eventually('everything is settled', async () => {
      const ledger = await readLedger(mesh, key.id);
      return ledger.held === 0 ? ledger : undefined;
    });
  }

  test('of 50 requests at once exactly 30 are admitted, the rest told when to come back, and each is charged once', async () => {
    await engine.script({ tokens: 4 });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => chat({ stream: i % 2 === 0 })));
    const bodies = await Promise.all(answers.map((answer) => answer.text()));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(30);
    const refused = answers.findIndex(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
    const { headers } = answers[refused] as Response;
    expect(JSON.parse(bodies[refused] ?? '')).toMatchObject({
      detail: "Rate limit exceeded. Maximum 30 requests per minute allowed for tier 'standard'.",
      error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
    });
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(61);
    expect(headers.get('x-ratelimit-limit-minute')).toBe('30');
    expect(headers.get('x-ratelimit-remaining-minute')).toBe('0');
    expect(headers.get('x-ratelimit-remaining-hour')).toBe('270');
    const ledger = await settled();
    expect(ledger).toMatchObject({ requests: 30, completionTokens: 30 * 4 });
  });

  test('the same limit holds over gRPC, and reading takes nothing from it', async () => {
    await engine.script({ tokens: 4 });
    const client = createClient(RouterService, transport());
    const options = { headers: { authorization: `Bearer ${key.secret}` } };
    const request = {
      model: 'fake',
      prompt: { input: { case: 'text' as const, value: 'hi' } },
      sampling: { maxTokens: 4 },
    };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 31 }, () => Array.fromAsync(client.generate(request, options))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(30);
    for (let i = 0; i < 3; i += 1) {
      const models = await fetch(`${mesh.url}/v1/models`, { headers: { 'x-api-key': key.secret } });
      expect(models.status).toBe(200);
      expect(models.headers.get('x-ratelimit-remaining-hour')).toBe('270');
    }
    expect(await settled()).toMatchObject({ requests: 30 });
  });

  test('a client that leaves after 5 tokens pays 5 tokens', async () => {
    await engine.script({ atToken: 5, tokens: 50, fault: 'hang' });
    const controller = new AbortController();
    const answer = await sendUntilStored(() => chat({ stream: true, max_tokens: 50 }, controller.signal));
    expect(answer.status).toBe(200);
    let text = '';
    for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      if (text.includes(' t4')) break;
    }
    controller.abort();
    expect(await settled()).toMatchObject({ requests: 1, completionTokens: 5 });
  });

  test('an engine that breaks off after 7 tokens is paid 7, and the stream ends with an error and no [DONE]', async () => {
    await engine.script({ atToken: 7, tokens: 50, fault: 'reset' });
    const text = await (await chat({ stream: true, max_tokens: 50 })).text();
    expect(text).toContain(' t6');
    expect(text).toMatch(/data: \{"error":/);
    expect(text).not.toContain('[DONE]');
    expect(await settled()).toMatchObject({ requests: 1, completionTokens: 7 });
  });

  test('what no engine took costs nothing: neither request nor tokens', async () => {
    await engine.script({ status: 400, body: { error: { message: 'no', param: 'seed' } } });
    expect((await chat({ seed: 1 })).status).toBe(400);
    expect((await chat({ model: 'gpt-9' })).status).toBe(404);
    expect((await chat({ temperature: 9 })).status).toBe(400);
    await engine.script({ status: 503 });
    const busy = await chat();
    expect(busy.status).toBe(503);
    expect(busy.headers.get('retry-after')).not.toBeNull();
    expect(await settled()).toMatchObject({ requests: 0, completionTokens: 0 });
    await engine.script({ tokens: 1 });
    const answer = await chat();
    expect(answer.headers.get('x-ratelimit-remaining-minute')).toBe('29');
  });

  test('a request id that a caller repeats is no way around the limit', async () => {
    await engine.script({ tokens: 1 });
    const post = () =>
      fetch(`${mesh.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'x-api-key': key.secret, 'content-type': 'application/json', 'x-request-id': 'always-the-same' },
        body: JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hi' }] }),
      });
    for (let i = 0; i < 3; i += 1)
      expect((await post()).headers.get('x-ratelimit-remaining-minute')).toBe(String(29 - i));
    expect(await settled()).toMatchObject({ requests: 3 });
  });

  test('a key that is bound to addresses works from there on every route, and its limits are told', async () => {
    await engine.script({ tokens: 1 });
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const request = { tier: 'standard', allowedIpRanges: ['192.0.2.0/24'] };
    const { secret } = await createClient(AuthService, transport()).createApiKey(request, { headers });
    // The test is a proxy that is believed, because it is on this machine.
    const from = (address: string, path: string, body?: object) =>
      fetch(mesh.url + path, {
        headers: { 'x-api-key': secret, 'x-forwarded-for': address, 'content-type': 'application/json' },
        ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
      });
    const good = { model: 'fake', messages: [{ role: 'user', content: 'hi' }] };
    for (const [path, body, status] of [
      ['/v1/models', undefined, 200],
      ['/v1/models/fake', undefined, 200],
      ['/status', undefined, 200],
      ['/v1/chat/completions', good, 200],
      ['/v1/chat/completions', { ...good, temperature: 9 }, 400],
    ] as const) {
      const answer = await from('192.0.2.7', path, body);
      expect([path, answer.status, answer.headers.has('x-ratelimit-remaining-minute')]).toEqual([path, status, true]);
      expect((await from('198.51.100.7', path, body)).status).toBe(401);
    }
  });

  test('a revoked key is refused within the time that answers may be cached', async () => {
    expect((await chat()).status).toBe(200);
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    await createClient(AuthService, transport()).revokeApiKey({ keyId: key.id }, { headers });
    await eventually('the key is refused', async () => (await chat()).status === 401, stretched(6_000));
  });
});
