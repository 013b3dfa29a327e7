import { X509Certificate } from 'node:crypto';
import { type EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import {
  type CertificateOptions,
  createAuthority,
  selfSigned,
  type TestCertificate,
  writeMeshTls,
} from '../../../test/harness/certificates.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { BEARER, eventually, MESH_TOKEN, startTestListener, testAuthorizer } from './listener.fixture.ts';
import { type MeshTls, openMeshTls } from './mesh-tls.ts';
import { createRemoteTransport } from './remote-transport.ts';
import type { Role } from './roles.ts';
import { createTlsConnector } from './tls-client.ts';
import { runOver } from './trunk/trunk.fixture.ts';
import { createTrunkClient } from './trunk/trunk-client.ts';

const RPC = '/mesh.router.v1.RouterService/Tokenize';
const PATIENCE_MS = 30_000;
const HOUR_MS = 3_600_000;
const authority = createAuthority();
const stranger = createAuthority();
const hourAgo = new Date(Date.now() - HOUR_MS);

/** Certificates that prove nothing, whoever shows them, for the role of the tests. */
const WORTHLESS: Record<string, TestCertificate> = {
  'of an unknown authority': stranger.issue({ names: ['router.mesh'] }),
  'of an authority of the same name': createAuthority('test authority').issue({ names: ['router.mesh'] }),
  'that vouches for itself': selfSigned({ names: ['router.mesh'] }),
  'that has expired': issued('router.mesh', { notBefore: new Date(Date.now() - 2 * HOUR_MS), notAfter: hourAgo }),
  'that is not valid yet': issued('router.mesh', { notBefore: new Date(Date.now() + HOUR_MS / 2) }),
  'that names nothing': authority.issue({}),
  'whose common name alone says it': authority.issue({ commonName: 'router.mesh' }),
  'with a wildcard': issued('*.mesh'),
  'with a NUL in its name': issued('router.mesh\0.evil.example'),
  'with a NUL before its name': issued('evil.example\0router.mesh'),
  'with an ideographic full stop': issued('router\u3002mesh'),
  'of a longer name': issued('router.mesh.evil.example'),
  'of another domain': issued('router.other'),
};

function issued(name: string, options: CertificateOptions = {}): TestCertificate {
  return authority.issue({ ...options, names: [name] });
}

/** An identity without files, so that one can be tried that no start would take. */
function identity({ cert, key }: TestCertificate): MeshTls {
  const credentials = { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(authority.ca) };
  return { domain: 'mesh', credentials, onChange() {}, close() {} };
}

const asRouter = identity(issued('router.mesh'));
const asFacade = identity(issued('facade.mesh'));

function collectLog() {
  const lines: string[] = [];
  return { lines, log: pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) }) };
}

function messages(lines: readonly string[]): string[] {
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

/** Resolves when it is over, however it ends. */
function closed(connection: EventEmitter): Promise<unknown> {
  connection.on('error', () => {});
  return new Promise((resolve) => connection.once('close', resolve));
}

/** A port of a router that takes certificates alone; `isForPeers: false` is the public one. */
async function startRouter(meshTls: MeshTls = asRouter, isForPeers = true) {
  const { lines, log } = collectLog();
  const authorizer = testAuthorizer({});
  const { listener, seen } = await startTestListener({ authorizer, meshTls, isForPeers, log });
  return { listener, seen, lines, port: listener.port, url: `https://127.0.0.1:${listener.port}` };
}

function dial(url: string, meshTls: MeshTls, role: Role = 'router') {
  const { lines, log } = collectLog();
  const transport = createRemoteTransport(url, { meshToken: undefined, tls: { meshTls, role, log } });
  return { client: createClient(RouterService, transport), lines, close: transport.close };
}

const PROMPT = { prompt: { input: { case: 'text' as const, value: 'x' } } };

async function failure(call: Promise<unknown>) {
  return fromConnectError(
    await call.then(
      () => new Error('it was answered'),
      (error: unknown) => error,
    ),
  );
}

describe('a trunk', () => {
  /** What a generation over a trunk to a router ends with, and what the side that asks logs. */
  async function outcomeOver(serverTls: MeshTls, clientTls: MeshTls) {
    const { listener, url } = await startRouter(serverTls);
    const { lines, log } = collectLog();
    const tls = { meshTls: clientTls, role: 'router' as const, log };
    const trunk = createTrunkClient({ url, method: RouterService.method.attach, meshToken: undefined, tls });
    const run = runOver(trunk.generate, 'two');
    await eventually(run.isOver, 'it is over', PATIENCE_MS);
    trunk.close();
    await listener.close();
    return { told: run.told, error: run.error(), lines };
  }

  test('goes over TLS by the same proof', async () => {
    const { told, lines } = await outcomeOver(asRouter, asFacade);
    expect(told).toEqual(['delta', 'delta', 'usage', 'end']);
    expect(lines).toEqual([]);
  });

  test('is for the roles that the contract names', async () => {
    const { error } = await outcomeOver(asRouter, identity(issued('quota.mesh')));
    expect(error).toMatchObject({ reason: 'PEER_ONLY', message: expect.stringContaining('quota') });
  });

  test.each(Object.entries(WORTHLESS))(
    'is not opened to a router with a certificate %s',
    async (_what, certificate) => {
      const { error, lines } = await outcomeOver(identity(certificate), asFacade);
      expect(error).toMatchObject({ reason: 'PEER_UNAVAILABLE', metadata: { peer: 'router' } });
      expect(messages(lines)).toEqual([expect.stringContaining('router is not trusted')]);
    },
  );

  test('of a stranger is refused', async () => {
    const { error } = await outcomeOver(asRouter, identity(stranger.issue({ names: ['facade.mesh'] })));
    expect(error?.reason).toBe('PEER_UNAVAILABLE');
  });
});

describe('a port of a role', () => {
  let router: Awaited<ReturnType<typeof startRouter>>;
  beforeAll(async () => {
    router = await startRouter();
  });
  afterAll(() => router.listener.close());

  test('answers who has a certificate, and says that it speaks TLS', async () => {
    const { client, close } = dial(router.url, asFacade);
    expect((await client.tokenize(PROMPT, { headers: BEARER })).tokenIds).toEqual([1, 2]);
    expect(router.listener.url).toBe(router.url);
    close();
  });

  test.each(Object.entries(WORTHLESS))('refuses a client with a certificate %s', async (_what, certificate) => {
    const { listener, lines, seen, url } = await startRouter();
    const { client, close } = dial(url, identity(certificate));
    const headers = { ...BEARER, 'mesh-token': MESH_TOKEN };
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect(await failure(client.tokenize(PROMPT, { headers }))).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
    }
    await eventually(() => lines.length > 0, 'it is logged', PATIENCE_MS);
    expect(messages(lines)).toEqual([expect.stringContaining('refused a connection: its certificate')]);
    expect(seen.contexts).toEqual([]);
    close();
    await listener.close();
  });

  test('refuses a client without a certificate, whatever token it has', async () => {
    const nobody = { ...asFacade, credentials: { ca: authority.ca } as never };
    const socket = createTlsConnector(router.url, { meshTls: nobody, role: 'router', log: collectLog().log })();
    const session = http2.connect(router.url, { createConnection: () => socket });
    session.on('error', () => {});
    const request = session.request({ ':method': 'POST', ':path': RPC, 'mesh-token': MESH_TOKEN, ...BEARER });
    request.on('response', () => expect.unreachable('it was answered'));
    request.on('error', () => {});
    request.end();
    await closed(socket);
    await eventually(() => router.lines.join('').includes('it shows no certificate'), 'it is logged', PATIENCE_MS);
  });

  test('refuses plain text of either protocol, whatever token it carries', async () => {
    const plain = `http://127.0.0.1:${router.port}`;
    await expect(fetch(plain + RPC, { method: 'POST', headers: { 'mesh-token': MESH_TOKEN } })).rejects.toThrow();
    const session = http2.connect(plain);
    session.request({ ':path': RPC, ':method': 'POST', 'mesh-token': MESH_TOKEN }).on('error', () => {});
    await closed(session);
    expect(router.lines.join('')).toContain('it does not speak TLS');
  });

  test('waits for the rest of a handshake for a while only', async () => {
    const begun = ['16', '1603010200010001fc0303'].map((bytes) => {
      const socket = net.connect(router.port, '127.0.0.1');
      socket.write(Buffer.from(bytes, 'hex'));
      return closed(socket);
    });
    await Promise.all(begun);
    expect(router.lines.join('')).toContain('its handshake took too long');
  });

  test('takes no session up again', async () => {
    const { cert, key, ca } = asFacade.credentials;
    const options = { port: router.port, ca, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
    const first = tls.connect({ ...options, cert, key });
    let ticket: Buffer | undefined;
    first.on('session', (session) => {
      ticket = session;
    });
    await once(first, 'secureConnect');
    const session = http2.connect(router.url, { createConnection: () => first });
    await once(session, 'remoteSettings');
    session.destroy();
    const again = tls.connect({ ...options, cert, key, ...(ticket ? { session: ticket } : {}) });
    await once(again, 'secureConnect');
    expect(again.isSessionReused()).toBe(false);
    again.destroy();
  });

  test.each(['ROUTER.MESH', 'router\u3002mesh', 'router.mesh\0.evil.example', 'other.example', ''])(
    'does not look at the name that a client asks for: %j',
    async (servername) => {
      const { cert, key, ca } = asFacade.credentials;
      const common = { port: router.port, ca, ALPNProtocols: ['h2'], servername, checkServerIdentity: () => undefined };
      const stranger = tls.connect(common);
      await closed(stranger);
      const known = tls.connect({ ...common, cert, key });
      await once(known, 'secureConnect');
      known.destroy();
      const { client, close } = dial(router.url, asFacade);
      await client.tokenize(PROMPT, { headers: BEARER });
      close();
    },
  );

  test('lets a role do what the table says, and nothing else by a certificate', async () => {
    const call = async (meshTls: MeshTls) => {
      const { client, close } = dial(router.url, meshTls);
      const { reason, message } = await failure(client.embed({}));
      const own = (await failure(client.tokenize(PROMPT))).reason;
      close();
      return { reason, message, own };
    };
    // The table of the tests opens Embed to routers. No entry names who may call Tokenize without a caller's key.
    expect(await call(asRouter)).toMatchObject({ reason: 'NOT_IMPLEMENTED', own: 'CREDENTIAL_MISSING' });
    const node = await call(identity(issued('inference.mesh')));
    expect(node).toMatchObject({ reason: 'PEER_ONLY', own: 'CREDENTIAL_MISSING' });
    expect(node.message).toBe('This method is for router; the certificate names inference.');
    const both = identity(authority.issue({ names: ['inference.mesh', 'Router.Mesh'] }));
    expect(await call(both)).toMatchObject({ reason: 'NOT_IMPLEMENTED' });
  });

  test('believes the address of a caller from who has a certificate', async () => {
    const { client, close } = dial(router.url, asFacade);
    await client.tokenize(PROMPT, { headers: { ...BEARER, 'mesh-client-ip': '192.0.2.7' } });
    const values = router.seen.contexts.at(-1)?.values;
    expect(values?.get(clientIpKey)).toBe('192.0.2.7');
    close();
  });
});

test.each(Object.entries({ ...WORTHLESS, 'of another role': issued('quota.mesh') }))(
  'a server with a certificate %s gets no call',
  async (_what, certificate) => {
    const { listener, seen, url } = await startRouter(identity(certificate));
    const { client, lines, close } = dial(url, asFacade);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const error = await failure(client.tokenize(PROMPT, { headers: BEARER }));
      expect(error).toMatchObject({ reason: 'PEER_UNAVAILABLE', metadata: { peer: 'router' } });
      expect(error.message).toContain("do not trust each other's certificates");
    }
    expect(seen.contexts).toEqual([]);
    // Once, however often it is tried.
    expect(messages(lines)).toEqual([expect.stringContaining('router is not trusted: its certificate')]);
    close();
    await listener.close();
  },
);

test('who is called by TLS must speak it', async () => {
  const { listener } = await startTestListener();
  const { client, lines, close } = dial(listener.url, asFacade);
  expect(await failure(client.tokenize(PROMPT, { headers: BEARER }))).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
  expect(lines.join('')).toContain('server.mesh_tls');
  close();
  await listener.close();
});

test('a public port takes both, and believes a certificate alone', async () => {
  const { listener, url, port } = await startRouter(asRouter, false);
  const plain = `http://127.0.0.1:${port}`;
  expect(listener.url).toBe(plain);
  const headers = { 'content-type': 'application/json', 'mesh-token': MESH_TOKEN };
  const call = async (path: string, more = {}) => {
    const response = await fetch(plain + path, { method: 'POST', headers: { ...headers, ...more }, body: '{}' });
    return response.status;
  };
  expect(await call('/mesh.router.v1.RouterService/Embed')).toBe(403);
  expect(await call(RPC)).toBe(401);
  expect(await call(RPC, BEARER)).not.toBe(401);
  const peer = dial(url, asRouter);
  expect(await failure(peer.client.embed({}))).toMatchObject({ reason: 'NOT_IMPLEMENTED' });
  const unknown = dial(url, identity(WORTHLESS['of an unknown authority'] as TestCertificate));
  expect(await failure(unknown.client.listModels({}))).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
  peer.close();
  unknown.close();
  await listener.close();
});

test('closing ends what runs over TLS and leaves no connection', async () => {
  const { listener, url, seen } = await startRouter();
  const { client, close } = dial(url, asFacade);
  const prompt = { input: { case: 'text' as const, value: 'wait' } };
  const stream = client.generate({ prompt }, { headers: BEARER })[Symbol.asyncIterator]();
  await stream.next();
  const ended = failure(stream.next());
  await listener.close();
  expect(await ended).toMatchObject({ reason: 'SHUTTING_DOWN' });
  expect(seen.calls[0]?.signal.aborted).toBe(true);
  expect(await listener.peersGone(PATIENCE_MS)).toBe(true);
  close();
});

describe('the files', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tls-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const { log } = collectLog();

  test('are read again when they change, on both sides; what cannot be used is not', async () => {
    const { lines, log } = collectLog();
    const renew = () => {
      const certificate = issued('router.mesh');
      writeMeshTls(directory, 'router', { ...certificate, ca: authority.ca });
      return new X509Certificate(certificate.cert).fingerprint256;
    };
    const files = {
      ...writeMeshTls(directory, 'router', { ...issued('router.mesh'), ca: authority.ca }),
      domain: 'mesh',
    };
    const meshTls = openMeshTls({ files, roles: ['router'], log, lookMs: 20 });
    const { listener, port } = await startRouter(meshTls);
    const shown = async () => {
      const socket = tls.connect({ ...asFacade.credentials, port, checkServerIdentity: () => undefined });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const renewed = renew();
    await eventually(async () => (await shown()) === renewed, 'the new one is shown', PATIENCE_MS);
    expect(new X509Certificate(meshTls.credentials.cert).fingerprint256).toBe(renewed);
    writeMeshTls(directory, 'router', { ...issued('quota.mesh'), ca: authority.ca });
    await eventually(() => lines.join('').includes('does not name router.mesh'), 'the refusal is logged', PATIENCE_MS);
    expect(await shown()).toBe(renewed);
    meshTls.close();
    await listener.close();
  });

  const good = { ...issued('router.mesh'), ca: authority.ca };
  test.each([
    ['cert', 'does not name quota.mesh', good, 'quota'],
    ['cert', 'is no certificate', { ...good, cert: 'x' }, 'router'],
    ['cert', 'expired', { ...good, ...(WORTHLESS['that has expired'] as TestCertificate) }, 'router'],
    ['key', 'is not the key of', { ...good, key: issued('router.mesh').key }, 'router'],
    ['key', 'is no private key', { ...good, key: 'x' }, 'router'],
    ['ca', 'is no certificate', { ...good, ca: 'x' }, 'router'],
  ] as const)('that cannot be used end the start: %s %s', (field, text, parts, role) => {
    const files = { ...writeMeshTls(directory, 'bad', parts), domain: 'mesh' };
    const open = () => openMeshTls({ files, roles: [role], log });
    expect(open).toThrow(new RegExp(`^server\\.mesh_tls\\.${field}: ${text}`));
  });

  test('that are not there end the start', () => {
    const files = { ...writeMeshTls(directory, 'gone', good), key: join(directory, 'nowhere.key'), domain: 'mesh' };
    expect(() => openMeshTls({ files, roles: ['router'], log })).toThrow(
      /^server\.mesh_tls\.key: .*nowhere\.key cannot be read/,
    );
  });
});
