import { create } from '@bufbuild/protobuf';
import { createClient, createContextValues, createHandlerContext, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { CredentialKind, PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { FlowControl } from '../transport/flow-control.ts';
import type { Generate } from '../transport/generate.ts';
import { generateHandler } from '../transport/generate-handler.ts';
import { eventually, MESH_TOKEN, type Seen, startTestListener, testModel } from '../transport/listener.fixture.ts';
import type { Routes } from '../transport/routes.ts';
import { createTrunkClient } from '../transport/trunk/trunk-client.ts';
import { attachHandler } from '../transport/trunk/trunk-handler.ts';
import type { Access } from './access.ts';
import { createAuthorizer } from './authorize.ts';
import { type CertifiedRoles, certifiedRolesKey } from './certified-roles.ts';
import { createVouching } from './on-behalf-of.ts';

const SECRET = 'the mesh token of a test';
const ADDRESS = '198.51.100.7';
const { generate, tokenize } = RouterService.method;

const table: ReadonlyMap<string, Access> = new Map<string, Access>([
  ['mesh.router.v1.RouterService/Generate', { kind: 'front-door' }],
  ['mesh.router.v1.RouterService/Attach', { kind: 'peer', peers: [] }],
  ['mesh.router.v1.RouterService/Embed', { kind: 'peer', peers: [] }],
  ['mesh.router.v1.RouterService/Tokenize', { kind: 'scope', scope: Scope.GENERATE }],
  ['mesh.router.v1.RouterService/ListModels', { kind: 'open' }],
  ['mesh.router.v1.RouterService/ExplainRoute', { kind: 'scope', scope: Scope.MODELS_READ }],
]);

const ann = create(PrincipalSchema, { keyId: 'ann-key', userId: 'ann', kind: CredentialKind.API_KEY });
const revoked = create(PrincipalSchema, { ...ann, keyId: 'revoked' });

let nowMs = Date.parse('2026-11-21T12:00:00Z');
const vouching = createVouching(SECRET, () => nowMs);
/** Who was asked about, as "key@address". */
let asked: string[] = [];
const authorizer = createAuthorizer({
  table,
  meshToken: MESH_TOKEN,
  authenticate: async (credential) => {
    if (!['key', 'admin'].includes(credential)) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
    return create(PrincipalSchema, {
      keyId: credential,
      scopes: [credential === 'admin' ? Scope.ADMIN : Scope.GENERATE],
    });
  },
  onBehalfOf: {
    vouching,
    async revalidate({ keyId }, clientIp) {
      asked.push(`${keyId}@${clientIp}`);
      if (keyId === 'revoked') throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
      return ann;
    },
  },
});
const seen: Seen = { calls: [], contexts: [], events: 0 };
const routes: Routes = (router) =>
  router.service(RouterService, {
    generate: generateHandler(testModel(seen)),
    attach: attachHandler({ generate: testModel(seen), vouching }),
    tokenize: () => ({}),
    listModels: () => ({}),
    embed: () => ({}),
  });
const { listener } = await startTestListener({ authorizer, routes: [routes] });
const base = { baseUrl: listener.url };
const TRANSPORTS: Record<string, Transport> = {
  'Connect over HTTP/1.1': createConnectTransport({ ...base, httpVersion: '1.1' }),
  'Connect with JSON': createConnectTransport({ ...base, httpVersion: '2', useBinaryFormat: false }),
  'gRPC-Web': createGrpcWebTransport({ ...base, httpVersion: '1.1' }),
  gRPC: createGrpcTransport({ ...base }),
};

afterAll(() => listener.close());
beforeEach(() => {
  asked = [];
  seen.calls.length = 0;
});

const PEER = { 'mesh-token': MESH_TOKEN };
const call = { principal: ann, requestAlreadyCounted: true, clientIp: ADDRESS };
const header = (by = vouching, method: typeof generate | typeof tokenize = generate, whom = call) => ({
  'mesh-on-behalf-of-bin': by.sign(method, whom),
});
const prompt = { prompt: { input: { case: 'text' as const, value: 'two' } } };

describe.each(Object.entries(TRANSPORTS))('%s', (_name, transport) => {
  const client = createClient(RouterService, transport);

  async function outcome(headers: Record<string, string>): Promise<string> {
    try {
      for await (const _ of client.generate(prompt, { headers }));
      return 'OK';
    } catch (error) {
      return fromConnectError(error).reason;
    }
  }

  test('a peer that signs acts for a caller, at the address that it vouches for', async () => {
    expect(await outcome({ ...PEER, ...header(), 'mesh-client-ip': '203.0.113.9' })).toBe('OK');
    expect(seen.calls).toMatchObject([
      { onBehalfOf: { principal: { keyId: 'ann-key' }, requestAlreadyCounted: true }, clientIp: ADDRESS },
    ]);
    expect(seen.calls[0]?.credential).toBeUndefined();
    expect(asked).toEqual([`ann-key@${ADDRESS}`]);
  });

  test('from anyone else it is refused, with whatever credential, and nobody is asked', async () => {
    for (const headers of [
      {},
      { 'mesh-token': `${MESH_TOKEN}x` },
      { authorization: 'Bearer key' },
      { 'x-api-key': 'admin' },
      { authorization: 'Bearer unknown' },
      { 'mesh-forwarded': '1', 'mesh-client-ip': '127.0.0.1' },
    ]) {
      expect(await outcome({ ...headers, ...header() }), JSON.stringify(headers)).toBe('PEER_ONLY');
    }
    expect(seen.calls).toEqual([]);
    expect(asked).toEqual([]);
  });

  test("a peer's proof alone is not enough", async () => {
    const other = createVouching('another mesh', () => nowMs);
    const old = header();
    nowMs += 60_000;
    for (const headers of [header(other), header(vouching, tokenize), old, { 'mesh-on-behalf-of-bin': '' }]) {
      expect(await outcome({ ...PEER, ...headers }), JSON.stringify(headers)).toBe('PEER_ONLY');
    }
    expect(seen.calls).toEqual([]);
  });

  test('a caller who was revoked meanwhile, and a credential beside it, are refused', async () => {
    expect(await outcome({ ...PEER, ...header(vouching, generate, { ...call, principal: revoked }) })).toBe(
      'CREDENTIAL_INVALID',
    );
    expect(await outcome({ ...PEER, ...header(), authorization: 'Bearer key' })).toBe('CREDENTIAL_CONFLICT');
    expect(seen.calls).toEqual([]);
  });

  test('no other method is called for anybody', async () => {
    const headers = { ...PEER, ...header(vouching, tokenize) };
    const calls = [client.tokenize({}, { headers }), client.listModels({}, { headers }), client.embed({}, { headers })];
    for (const each of calls) {
      expect(await each.then(String, (error: unknown) => fromConnectError(error).reason)).toBe('PEER_ONLY');
    }
  });
});

/** What a generation over the seam ends with. */
async function over(run: Generate | undefined, whom: { credential?: string } = {}): Promise<string> {
  let ended: string | undefined;
  const sink = {
    event: () => {},
    end: () => {
      ended = 'OK';
    },
    fail: (error: MeshError) => {
      ended = error.reason;
    },
  };
  const { signal } = new AbortController();
  const own = { requestId: 'r', signal, flow: new FlowControl(), clientIp: ADDRESS, onBehalfOf: call };
  run?.(create(GenerateRequestSchema, prompt), { ...own, ...whom }, sink);
  await eventually(() => ended !== undefined, 'the generation is over');
  return ended ?? '';
}

test('the seam signs, and only what is signed with the same secret is believed', async () => {
  const target = { url: listener.url, method: RouterService.method.attach, meshToken: MESH_TOKEN };
  const stranger = createVouching('other', () => nowMs);
  const trunks = [vouching, stranger, undefined].map((signer) => createTrunkClient(target, signer));
  const outcomes = await Promise.all(trunks.map((trunk) => over(trunk.generate)));
  expect(outcomes).toEqual(['OK', 'PEER_ONLY', 'INTERNAL']);
  expect(await over(trunks[0]?.generate, { credential: 'key' })).toBe('CREDENTIAL_CONFLICT');
  expect(seen.calls).toMatchObject([
    { onBehalfOf: { principal: { keyId: 'ann-key' } }, clientIp: ADDRESS, requestId: 'r' },
  ]);
  for (const trunk of trunks) trunk.close();
});

test('where certificates say who is who, tasks and facade vouch, and nobody else with them', async () => {
  const roles = (certified: CertifiedRoles | undefined): Promise<string> => {
    const contextValues = createContextValues().set(certifiedRolesKey, certified);
    const context = createHandlerContext({
      ...{ service: RouterService, method: generate, protocolName: 'grpc', requestMethod: 'POST' },
      ...{ url: `${listener.url}/mesh.router.v1.RouterService/Generate`, requestHeader: header(), contextValues },
    });
    return authorizer.gate(context).then(
      () => 'OK',
      (error: unknown) => fromConnectError(error).reason,
    );
  };
  expect(await roles(new Set(['tasks']))).toBe('OK');
  expect(await roles(new Set(['inference', 'facade']))).toBe('OK');
  expect(await roles(new Set(['inference', 'router', 'auth', 'quota']))).toBe('PEER_ONLY');
  expect(await roles(undefined)).toBe('PEER_ONLY');
});
