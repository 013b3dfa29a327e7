import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Client, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService, type CreateApiKeyRequestSchema } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type Principal, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError } from '../../services/shared/errors/connect-error.ts';
import { createVouching } from '../../services/shared/interceptors/on-behalf-of.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const PASSWORD = 'correct horse battery';
const METHOD = RouterService.method.generate;

/** A test of a whole mesh on a machine that may do other work, in milliseconds. */
const PATIENCE_MS = 60_000;

/** What somebody who is no process of the mesh may write about himself, for us and for others. */
const CLAIMS = {
  'mesh-token': 'marker-of-a-stranger',
  'mesh-client-ip': '198.51.100.7',
  'mesh-forwarded': '0',
  'mesh-to-node': '1',
  'x-forwarded-user': 'marker-of-a-stranger',
  'x-user-id': 'marker-of-a-stranger',
  'x-organization': 'marker-of-a-stranger',
  'x-consumer-username': 'marker-of-a-stranger',
  'x-real-ip': '198.51.100.7',
  forwarded: 'for=198.51.100.7',
  cookie: 'user=marker-of-a-stranger',
};

type Headers = Record<string, string>;

describe.each(arrangements())('acting for others, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let meshToken: string;
  let vouching: ReturnType<typeof createVouching>;
  let admin: Client<typeof AuthService>;
  let peer: Client<typeof AuthService>;

  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    const tiers = { tiny: { requests_per_hour: 1 } };
    mesh = await startMesh(arrangement, { config: { inference: { models, devices: 'none' }, quota: { tiers } } });
    const tokenFile = join(mesh.dataDir('router'), 'mesh.token');
    meshToken = existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : SHARED_TOKEN;
    vouching = createVouching(meshToken, Date.now);
    admin = createClient(AuthService, over('auth', { authorization: `Bearer ${mesh.adminKey}` }));
    peer = createClient(AuthService, over('auth', { 'mesh-token': meshToken }));
  }, 150_000);
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  const urlOf = (role: string): string => mesh.urls.get(role) ?? expect.fail(role);

  /** gRPC to the process of a role. */
  function over(role: string, headers: Headers): Transport {
    return createGrpcTransport({ baseUrl: urlOf(role), interceptors: [adding(headers)] });
  }

  async function newKey(
    fields: MessageInitShape<typeof CreateApiKeyRequestSchema> = {},
  ): Promise<{ keyId: string; secret: string }> {
    const { apiKey, secret } = await admin.createApiKey(fields);
    return { keyId: apiKey?.keyId ?? '', secret };
  }

  /** Who presents a credential, as a process of the mesh gets to know it. */
  async function verified(credential: string, clientIp = ''): Promise<Principal> {
    return (await peer.authenticate({ credential, clientIp })).principal ?? expect.fail('nobody');
  }

  function vouched(principal: Principal, requestAlreadyCounted = false): Headers {
    const call = { principal, requestAlreadyCounted, clientIp: '198.51.100.7' };
    return { 'mesh-token': meshToken, 'mesh-on-behalf-of-bin': vouching.sign(METHOD, call) };
  }

  async function outcomeOf(transport: Transport, signal?: AbortSignal): Promise<string> {
    try {
      const prompt = { input: { case: 'text' as const, value: 'hi' } };
      const request = { model: 'fake', prompt, sampling: { maxTokens: 3 } };
      for await (const _ of createClient(RouterService, transport).generate(request, signal ? { signal } : {}));
      return 'OK';
    } catch (error) {
      return fromConnectError(error).reason;
    }
  }

  /** How a generation at the router ends. */
  const atRouter = (headers: Headers): Promise<string> => outcomeOf(over('router', headers));

  test('a peer generates for a caller whom it verified, who pays for it', { timeout: PATIENCE_MS }, async () => {
    await engine.script({});
    const { keyId, secret } = await newKey();
    const principal = await verified(secret);
    expect(await atRouter(vouched(principal))).toBe('OK');
    expect(await outcomeOf(over('facade', vouched(principal)))).toBe('OK');
    await eventually('it is charged', async () => {
      const { requests, held } = await readLedger(mesh, keyId);
      return requests === 2 && held === 0;
    });
    const { last } = await engine.counts();
    expect(JSON.stringify(last)).not.toMatch(/mesh-|198\.51\.100\.7/);
  });

  test('the caller may do what the credential may, whatever is claimed', { timeout: PATIENCE_MS }, async () => {
    const elsewhere = await verified((await newKey({ models: ['other'] })).secret);
    expect(await atRouter(vouched({ ...elsewhere, models: ['*'] }))).toBe('MODEL_NOT_GRANTED');
    const reader = await verified((await newKey({ scopes: [Scope.MODELS_READ] })).secret);
    expect(await atRouter(vouched({ ...reader, scopes: [Scope.ADMIN] }))).toBe('SCOPE_MISSING');
    for (const [range, outcome] of [
      ['203.0.113.0/24', 'CREDENTIAL_INVALID'],
      ['198.51.100.0/24', 'OK'],
    ] as const) {
      const bound = await newKey({ allowedIpRanges: [range] });
      expect(await atRouter(vouched(await verified(bound.secret, range.replace('/24', ''))))).toBe(outcome);
    }
  });

  test('who was revoked meanwhile is refused, and what runs is cut', { timeout: PATIENCE_MS }, async () => {
    const { keyId, secret } = await newKey();
    const principal = await verified(secret);
    await engine.script({ atToken: 2, tokens: 50, fault: 'hang', warmUpToo: true });
    const running = atRouter(vouched(principal));
    await eventually('the engine works', async () => (await engine.counts()).running === 1);
    await admin.revokeApiKey({ keyId, cutRunningStreams: true });
    expect(await running).toBe('CREDENTIAL_INVALID');
    await engine.script({});
    expect(await atRouter(vouched(principal))).toBe('CREDENTIAL_INVALID');

    const userId = `task-owner-${arrangement.replace(' ', '-')}`;
    await admin.createUser({ userId, password: PASSWORD });
    const user = await verified((await admin.login({ username: userId, password: PASSWORD })).accessToken);
    expect(await atRouter(vouched(user))).toBe('OK');
    await admin.disableUser({ userId });
    await eventually('the user is refused', async () => (await atRouter(vouched(user))) === 'CREDENTIAL_INVALID');
  });

  test('a request that was counted at its submission is not counted again', { timeout: PATIENCE_MS }, async () => {
    const principal = await verified((await newKey({ tier: 'tiny' })).secret);
    expect(await atRouter(vouched(principal))).toBe('OK');
    expect(await atRouter(vouched(principal))).toBe('RATE_LIMIT_EXCEEDED');
    expect(await atRouter(vouched(principal, true))).toBe('OK');
    expect(await atRouter(vouched(principal, true))).toBe('OK');
  });

  test('nobody else acts for anybody, over any protocol, at any port', { timeout: PATIENCE_MS }, async () => {
    const key = await newKey();
    const stolen = vouched(await verified(mesh.adminKey))['mesh-on-behalf-of-bin'] ?? '';
    const unsigned = { 'mesh-token': meshToken, 'mesh-on-behalf-of-bin': stolen.slice(0, -20) };
    for (const credential of ['', key.secret, mesh.adminKey]) {
      const headers = { ...(credential ? { 'x-api-key': credential } : {}), 'mesh-on-behalf-of-bin': stolen };
      for (const port of ['facade', 'router']) {
        for (const transport of everyProtocol(urlOf(port), headers)) {
          expect(await outcomeOf(transport), `${port} ${credential}`).toBe('PEER_ONLY');
        }
      }
      // No REST route knows the header: it changes nothing there.
      const answer = await fetch(`${mesh.url}/v1/models`, { headers });
      expect(answer.status).toBe(credential ? 200 : 401);
    }
    expect(await atRouter(unsigned)).toBe('PEER_ONLY');
    expect(await outcomeOf(over('facade', unsigned))).toBe('PEER_ONLY');
  });

  test('what callers claim about themselves has no effect on RPCs', { timeout: PATIENCE_MS }, async () => {
    const key = await newKey();
    const bound = await newKey({ allowedIpRanges: ['198.51.100.0/24'] });
    for (const claims of [{}, CLAIMS]) {
      const outcomes = everyProtocol(mesh.url, { ...claims, 'x-api-key': key.secret }).map(async (transport) => ({
        models: (await createClient(RouterService, transport).listModels({})).models.length,
        nodes: await reasonOf(createClient(RegistryService, transport).listNodes({})),
        keys: await reasonOf(createClient(AuthService, transport).listApiKeys({})),
        reserve: await reasonOf(createClient(QuotaService, transport).reserve({})),
        authenticate: await reasonOf(createClient(AuthService, transport).authenticate({})),
      }));
      for (const outcome of await Promise.all(outcomes)) {
        expect(outcome).toEqual({
          ...{ models: 1, nodes: 'SCOPE_MISSING', keys: 'SCOPE_MISSING' },
          ...{ reserve: 'PEER_ONLY', authenticate: 'PEER_ONLY' },
        });
      }
      for (const port of ['facade', 'router']) {
        for (const transport of everyProtocol(urlOf(port), claims)) {
          expect(await outcomeOf(transport), port).toBe('CREDENTIAL_MISSING');
          expect(await reasonOf(createClient(RouterService, transport).listModels({}))).toBe('CREDENTIAL_MISSING');
        }
        for (const transport of everyProtocol(urlOf(port), { ...claims, 'x-api-key': bound.secret })) {
          expect(await outcomeOf(transport), port).toBe('CREDENTIAL_INVALID');
        }
      }
    }
  });

  test('nor on REST, and neither engine nor ledger hears of it', { timeout: PATIENCE_MS }, async () => {
    await engine.script({});
    const key = await newKey();
    const bound = await newKey({ allowedIpRanges: ['198.51.100.0/24'] });
    const ask = (headers: Headers) =>
      fetch(`${mesh.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { ...CLAIMS, ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hi' }], max_tokens: 3, user: 'u' }),
      });
    expect((await ask({})).status).toBe(401);
    expect((await ask({ 'x-api-key': bound.secret })).status).toBe(401);
    const answer = await ask({ 'x-api-key': key.secret });
    expect(answer.status).toBe(200);
    expect(JSON.stringify(await answer.json())).not.toContain('marker');
    expect(JSON.stringify((await engine.counts()).last)).not.toMatch(/marker-of-a-stranger|198\.51\.100\.7|"mesh-/);
    await eventually('it is charged to the key', async () => {
      const { requests, held } = await readLedger(mesh, key.keyId);
      return requests === 1 && held === 0;
    });
    for (const program of mesh.processes.values()) expect(program.output()).not.toContain('marker-of-a-stranger');
  });
});

/** That of a mesh in six processes. */
const SHARED_TOKEN = 'test-token-0123456789abcdef0123456789abcdef';

function adding(headers: Headers): Interceptor {
  return (next) => (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
}

function everyProtocol(baseUrl: string, headers: Headers): Transport[] {
  const interceptors = [adding(headers)];
  return [
    createConnectTransport({ baseUrl, interceptors, httpVersion: '1.1', useBinaryFormat: false }),
    createConnectTransport({ baseUrl, interceptors, httpVersion: '2' }),
    createGrpcWebTransport({ baseUrl, interceptors, httpVersion: '1.1' }),
    createGrpcTransport({ baseUrl, interceptors }),
  ];
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'OK',
    (error: unknown) => fromConnectError(error).reason,
  );
}
