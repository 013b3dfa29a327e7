import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { fromConnectError } from '../../services/shared/errors/connect-error.ts';
import { namesRole } from '../../services/shared/transport/mesh-identity.ts';
import { openMeshTls } from '../../services/shared/transport/mesh-tls.ts';
import { createRemoteTransport, type RemoteTransport } from '../../services/shared/transport/remote-transport.ts';
import { ROLES, type Role } from '../../services/shared/transport/roles.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { createAuthority, writeMeshTls } from '../harness/certificates.ts';
import { type Ledger, readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const root = resolve(import.meta.dirname, '../..');
const log = pino({ level: 'silent' });
const authority = createAuthority();

describe.each(arrangements())('a mesh with certificates, %s', (arrangement) => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tls-'));
  const opened: RemoteTransport[] = [];
  let mesh: TestMesh;
  let engine: FakeEngine;
  let key: { id: string; secret: string };
  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    mesh = await startMesh(arrangement, { config: { inference: { models } }, authority });
    const headers = { 'x-api-key': mesh.adminKey };
    const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
    const { apiKey, secret } = await auth.createApiKey({ name: 'a caller' }, { headers });
    key = { id: apiKey?.keyId ?? '', secret };
  });
  afterAll(async () => {
    for (const transport of opened) transport.close();
    await mesh?.stop();
    await engine?.stop();
    rmSync(directory, { recursive: true });
  });

  /** A process of one role, as what it dials another. */
  function as(own: Role, role: Role): Transport {
    const parts = { ...authority.issue({ names: [`${own}.mesh`] }), ca: authority.ca };
    const files = { ...writeMeshTls(directory, own, parts), domain: 'mesh' };
    const meshTls = openMeshTls({ files, roles: [own], log });
    meshTls.close();
    const transport = createRemoteTransport(mesh.urls.get(role) ?? '', {
      meshToken: undefined,
      tls: { meshTls, role, log },
    });
    opened.push(transport);
    return transport;
  }

  const reasonOf = (call: Promise<unknown>) =>
    call.then(
      () => 'answered',
      (error: unknown) => fromConnectError(error).reason,
    );

  function chat(body: object, signal?: AbortSignal): Promise<Response> {
    return fetch(`${mesh.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': key.secret, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hi' }], max_tokens: 50, ...body }),
      ...(signal ? { signal } : {}),
    });
  }

  /** What was charged in all, once nothing is held any more. */
  function settled(): Promise<Ledger> {
    return eventually('everything is settled', async () => {
      const ledger = await readLedger(mesh, key.id);
      return ledger.held === 0 ? ledger : undefined;
    });
  }

  test('generates, streams, is cancelled down to the engine, and settles', async () => {
    await engine.script({ tokens: 5 });
    expect(await (await chat({})).text()).toContain('t4');
    expect((await (await chat({ stream: true })).text()).trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(await settled()).toMatchObject({ requests: 2, completionTokens: 10 });

    await engine.script({ atToken: 5, tokens: 50, fault: 'hang' });
    const controller = new AbortController();
    const answer = await chat({ stream: true }, controller.signal);
    let seen = '';
    for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      seen += chunk;
      if (seen.includes(' t4')) break;
    }
    controller.abort();
    await eventually('the engine is idle', async () => (await engine.counts()).running === 0);
    expect(await settled()).toMatchObject({ requests: 3, completionTokens: 15 });
  });

  test('lets each role do its part alone', async () => {
    const authenticate = { credential: 'no-such-key-0123456789' };
    const auth = (own: Role) => createClient(AuthService, as(own, 'auth'));
    expect(await reasonOf(auth('router').authenticate(authenticate))).toBe('CREDENTIAL_INVALID');
    const reserve = (own: Role) => reasonOf(createClient(QuotaService, as(own, 'quota')).reserve({}));
    for (const own of ['router', 'tasks'] as const) expect(await reserve(own)).not.toBe('PEER_ONLY');
    for (const own of ['inference', 'facade', 'auth'] as const) expect(await reserve(own)).toBe('PEER_ONLY');
    const generate = (own: Role) => {
      const client = createClient(InferenceService, as(own, 'inference'));
      return reasonOf(
        Array.fromAsync(client.generate({ model: 'x', prompt: { input: { case: 'text', value: 'x' } } })),
      );
    };
    expect(await generate('router')).not.toBe('PEER_ONLY');
    for (const own of ['inference', 'facade', 'quota'] as const) expect(await generate(own)).toBe('PEER_ONLY');
    const register = (own: Role) => {
      const client = createClient(RegistryService, as(own, 'router'));
      return reasonOf(Array.fromAsync(client.register((async function* () {})())));
    };
    expect(await register('inference')).not.toBe('PEER_ONLY');
    for (const own of ['router', 'facade', 'quota'] as const) expect(await register(own)).toBe('PEER_ONLY');
  });

  test('makes no key for a certificate', async () => {
    for (const own of ROLES) {
      const auth = createClient(AuthService, as(own, 'auth'));
      expect(await reasonOf(auth.createApiKey({ name: 'x' }))).toBe('CREDENTIAL_MISSING');
      expect(await reasonOf(auth.listUsers({}))).toBe('CREDENTIAL_MISSING');
      expect(await reasonOf(auth.generateApiKey({ username: 'x' }))).toBe('CREDENTIAL_MISSING');
    }
  });

  test('believes no mesh token without a certificate', async () => {
    const tokenFile = join(mesh.dataDir('auth'), 'mesh.token');
    const token = arrangement === 'one process' ? readFileSync(tokenFile, 'utf8').trim() : undefined;
    const headers = {
      'mesh-token': token ?? 'test-token-0123456789abcdef0123456789abcdef',
      'content-type': 'application/json',
    };
    const path = '/mesh.auth.v1.AuthService/Authenticate';
    const onPublic = await fetch(mesh.url + path, { method: 'POST', headers, body: '{"credential":"x"}' });
    expect(onPublic.status).toBe(403);
    if (arrangement === 'one process') return;
    const plain = mesh.urls.get('auth')?.replace('https:', 'http:');
    await expect(fetch(plain + path, { method: 'POST', headers, body: '{"credential":"x"}' })).rejects.toThrow();
    await eventually('it is logged', () => mesh.processes.get('auth')?.output().includes('it does not speak TLS'));
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.log('skipped: "the documented commands" needs openssl');

test.runIf(hasOpenssl)('the documented commands make certificates that a start takes', () => {
  const documented = readFileSync(join(root, 'docs/configuration.md'), 'utf8');
  const commands = /```sh\n(openssl req -x509[\s\S]*?)```/.exec(documented)?.[1] ?? '';
  const directory = mkdtempSync(join(tmpdir(), 'mesh-openssl-'));
  execFileSync('sh', ['-ec', commands], { cwd: directory, stdio: 'pipe' });
  const ca = new X509Certificate(readFileSync(join(directory, 'ca.crt')));
  for (const role of ROLES) {
    const paths = {
      cert: join(directory, `${role}.crt`),
      key: join(directory, `${role}.key`),
      ca: join(directory, 'ca.crt'),
    };
    const meshTls = openMeshTls({ files: { ...paths, domain: 'mesh' }, roles: [role], log });
    meshTls.close();
    const certificate = new X509Certificate(meshTls.credentials.cert);
    expect(certificate.verify(ca.publicKey) && !certificate.ca).toBe(true);
    expect(ROLES.filter((other) => namesRole(certificate, other, 'mesh'))).toEqual([role]);
  }
  rmSync(directory, { recursive: true });
});
