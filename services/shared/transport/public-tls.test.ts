import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { createAuthority, type TestCertificate, writeMeshTls } from '../../../test/harness/certificates.ts';
import { createHttpsRule } from '../interceptors/https-rule.ts';
import { BEARER, eventually, silent, startTestListener, testAuthorizer } from './listener.fixture.ts';
import type { ListenerOptions } from './listener.ts';
import { openMeshTls } from './mesh-tls.ts';
import { openPublicTls } from './public-tls.ts';
import { createRemoteTransport } from './remote-transport.ts';

const PATIENCE_MS = 30_000;
const authority = createAuthority();
const directory = mkdtempSync(join(tmpdir(), 'public-tls-'));
afterAll(() => rmSync(directory, { recursive: true }));

const NAME = 'chat.example.com';
const issued = (...names: string[]) => authority.issue({ names });

/** Writes a pair and tells its fingerprint. */
function write(name: string, { cert, key }: TestCertificate) {
  const paths = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  writeFileSync(paths.key, key);
  writeFileSync(paths.cert, cert);
  return paths;
}

async function start(name: string, more: Partial<ListenerOptions> = {}) {
  const publicTls = openPublicTls(write(name, issued(NAME)), silent, 20);
  const { listener, seen } = await startTestListener({
    publicTls,
    fallback: (request, response) => void response.end(`${request.httpVersion} ${request.headers.host ?? ''}`),
    ...more,
  });
  return { listener, seen, port: listener.port, url: `https://127.0.0.1:${listener.port}` };
}

/** Resolves when it is over, however it ends. */
function closed(socket: net.Socket): Promise<unknown> {
  socket.resume().on('error', () => {});
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Begins what may become a handshake; resolves when it is over. */
function begin(port: number, bytes: string): Promise<unknown> {
  const socket = net.connect(port, '127.0.0.1');
  socket.write(Buffer.from(bytes, 'hex'));
  return closed(socket);
}

const CLIENT = { ca: authority.ca, servername: NAME };

/** What openssl's own client says of a handshake, and of the request that it makes then. */
function openssl(port: number, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve) => {
    const connect = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', NAME, ...args];
    const child = execFile('openssl', connect, { timeout: PATIENCE_MS }, (_error, out, err) => resolve(out + err));
    child.stdin?.end(input);
  });
}

describe('callers over TLS', () => {
  let port: number;
  let base: { baseUrl: string; nodeOptions: object };
  let close: () => Promise<void>;
  /** Handshakes that break off. They are waited for last. */
  let brokenOff: Promise<unknown>[];
  beforeAll(async () => {
    const started = await start('callers', { httpsRule: createHttpsRule([]) });
    ({ port } = started);
    brokenOff = ['16', '1603010200010001fc0303', `160301ffff${'00'.repeat(99)}`].map((bytes) => begin(port, bytes));
    base = { baseUrl: started.url, nodeOptions: CLIENT };
    close = () => started.listener.close();
    expect(started.listener.url).toBe(started.url);
  });
  afterAll(() => close());

  const transports: Record<string, () => Transport> = {
    gRPC: () => createGrpcTransport(base),
    'gRPC-Web over HTTP/1.1': () => createGrpcWebTransport({ ...base, httpVersion: '1.1' }),
    'gRPC-Web over HTTP/2': () => createGrpcWebTransport({ ...base, httpVersion: '2' }),
    'Connect over HTTP/1.1': () => createConnectTransport({ ...base, httpVersion: '1.1' }),
    'Connect over HTTP/2': () => createConnectTransport({ ...base, httpVersion: '2' }),
  };

  test.each(Object.keys(transports))('%s answers, streams and asks for the key', async (name) => {
    const client = createClient(RouterService, (transports[name] as () => Transport)());
    const prompt = { prompt: { input: { case: 'text' as const, value: 'two' } } };
    expect((await client.tokenize(prompt, { headers: BEARER })).tokenIds).toEqual([1, 2]);
    expect(await Array.fromAsync(client.generate(prompt, { headers: BEARER }))).toHaveLength(3);
    const refused = client.tokenize(prompt).catch((error: unknown) => ConnectError.from(error).code);
    expect(await refused).toBe(Code.Unauthenticated);
  });

  test('both versions of HTTP are served on one port, with and without TLS', async () => {
    const get = async (options: https.RequestOptions) => {
      const request = https.get({ ...CLIENT, port, path: '/x', headers: { host: NAME }, ...options });
      const [response] = await once(request, 'response');
      return (await response.toArray()).join('');
    };
    expect(await get({})).toBe(`1.1 ${NAME}`);
    const session = http2.connect(`https://127.0.0.1:${port}`, CLIENT);
    const stream = session.request({ ':path': '/x' });
    expect((await stream.toArray()).join('')).toContain('2.0');
    session.destroy();
    expect(await (await fetch(`http://127.0.0.1:${port}/x`)).text()).toContain('1.1');
  });

  test('callers elsewhere are served over TLS alone', async () => {
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7' };
    const path = '/mesh.router.v1.RouterService/ListModels';
    expect((await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body: '{}' })).status).toBe(403);
    const request = https.request({ ...CLIENT, port, path, method: 'POST', headers }).end('{}');
    const [response] = await once(request, 'response');
    expect(response.statusCode).toBe(200);
    const session = http2.connect(`https://127.0.0.1:${port}`, CLIENT);
    const stream = session.request({ ':method': 'POST', ':path': path, ...headers }).end('{}');
    const [answer] = await once(stream, 'response');
    expect(answer[':status']).toBe(200);
    session.destroy();
  });

  test.each([
    [['-alpn', 'h2,http/1.1'], 'ALPN protocol: h2'],
    [['-alpn', 'http/1.1'], 'ALPN protocol: http/1.1'],
    [['-tls1_2', '-alpn', 'h2'], 'ALPN protocol: h2'],
    [[], 'No ALPN negotiated'],
  ])('openssl with %j: %s, and no certificate is asked for', async (args, said) => {
    const seen = await openssl(port, args, args.length === 0 ? 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n' : '');
    expect(seen).toContain(said);
    expect(seen).toContain('No client certificate CA names sent');
  });

  test('openssl is refused an old TLS and a protocol that is not spoken', async () => {
    expect(await openssl(port, ['-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0'])).toContain('Cipher is (NONE)');
    expect(await openssl(port, ['-alpn', 'smtp'])).toContain('no application protocol');
  });

  test('what goes wrong over TLS is told as without', async () => {
    const socket = tls.connect({ ...CLIENT, port });
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.write('GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n');
    await once(socket, 'close');
    expect(received).toMatch(/^HTTP\/1\.1 400 [\s\S]*x-request-id: req_/i);
  });

  test('a handshake that does not come, or breaks, harms nobody', async () => {
    const client = createClient(RouterService, createGrpcTransport(base));
    expect((await client.listModels({})).models).toHaveLength(1);
    await Promise.all(brokenOff);
  });
});

test('a stream goes on while certificates are exchanged; a pair that does not fit is not used', async () => {
  const paths = write('rotated', issued(NAME));
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const publicTls = openPublicTls(paths, log, 20);
  const { listener, seen } = await startTestListener({ publicTls });
  const shown = async () => {
    const socket = tls.connect({ ...CLIENT, port: listener.port });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const url = `https://127.0.0.1:${listener.port}`;
  const client = createClient(RouterService, createGrpcTransport({ baseUrl: url, nodeOptions: CLIENT }));
  const prompt = { input: { case: 'text' as const, value: 'wait' } };
  const stream = client.generate({ prompt }, { headers: BEARER })[Symbol.asyncIterator]();
  await stream.next();
  for (let turn = 0; turn < 3; turn += 1) {
    const renewed = issued(NAME);
    write('rotated', renewed);
    const expected = new X509Certificate(renewed.cert).fingerprint256;
    await eventually(async () => (await shown()) === expected, 'the new one is shown', PATIENCE_MS);
  }
  const last = await shown();
  writeFileSync(paths.key, issued(NAME).key);
  await eventually(() => lines.join('').includes('server.tls.key: is not the key of'), 'it is logged', PATIENCE_MS);
  writeFileSync(paths.cert, 'x');
  await eventually(() => lines.join('').includes('server.tls.cert: is no certificate'), 'it is logged', PATIENCE_MS);
  expect(await shown()).toBe(last);
  expect(seen.calls[0]?.signal.aborted).toBe(false);
  // Closing ends it with a reason and leaves no connection.
  const ended = stream.next().catch((error: unknown) => ConnectError.from(error).code);
  await listener.close();
  expect(await ended).toBe(Code.Unavailable);
  expect(await listener.peersGone(PATIENCE_MS)).toBe(true);
});

test.each([
  ['cert', 'is no certificate', { cert: 'x' }],
  ['key', 'is not the key of', { key: issued(NAME).key }],
  ['key', 'is no private key', { key: 'x' }],
  ['cert', 'expired', authority.issue({ names: [NAME], notAfter: new Date(Date.now() - 1_000) })],
])('a pair that cannot be used ends the start: %s %s', (field, text, parts) => {
  const paths = write('bad', { ...issued(NAME), ...parts });
  expect(() => openPublicTls(paths, silent)).toThrow(new RegExp(`^server\\.tls\\.${field}: ${text}`));
});

describe('one port for callers and for processes with certificates of the mesh', () => {
  const paths = writeMeshTls(directory, 'router', { ...issued('router.mesh'), ca: authority.ca });
  const meshTls = openMeshTls({ files: { ...paths, domain: 'mesh' }, roles: ['router'], log: silent });
  let started: Awaited<ReturnType<typeof start>>;
  let endless: Promise<unknown>;
  beforeAll(async () => {
    started = await start('both', { meshTls, authorizer: testAuthorizer({}) });
    endless = begin(started.port, '1603010200');
  });
  afterAll(async () => {
    meshTls.close();
    await started.listener.close();
  });

  const namesOf = (certificate: tls.PeerCertificate) => certificate.subjectaltname;
  const connect = (options: tls.ConnectionOptions) =>
    tls.connect({ ...CLIENT, port: started.port, checkServerIdentity: () => undefined, ...options });

  test('a process is believed by its certificate, a caller by the key', async () => {
    const peer = createRemoteTransport(started.url, {
      meshToken: undefined,
      tls: { meshTls, role: 'router', log: silent },
    });
    const asPeer = createClient(RouterService, peer).embed({});
    expect(await asPeer.catch((error: unknown) => ConnectError.from(error).code)).toBe(Code.Unimplemented);
    peer.close();
    const transport = createGrpcTransport({ baseUrl: started.url, nodeOptions: CLIENT });
    const asCaller = createClient(RouterService, transport);
    expect((await asCaller.listModels({})).models).toHaveLength(1);
    const refused = asCaller.embed({}, { headers: BEARER });
    expect(await refused.catch((error: unknown) => ConnectError.from(error).code)).toBe(Code.PermissionDenied);
  });

  test.each([[NAME], ['other.example.com'], ['facade.mesh'], [undefined]])(
    'who asks for %s gets the public certificate, whatever is shown, and is nobody by it',
    async (servername) => {
      const { cert, key } = meshTls.credentials;
      const socket = connect({ ...(servername ? { servername } : {}), cert, key, ALPNProtocols: ['h2'] });
      await once(socket, 'secureConnect');
      expect(namesOf(socket.getPeerCertificate())).toContain(NAME);
      const session = http2.connect(started.url, { createConnection: () => socket });
      const path = '/mesh.router.v1.RouterService/Embed';
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' });
      stream.end('{}');
      const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
      expect(headers[':status']).toBe(403);
      session.destroy();
    },
  );

  test('who asks for a role without a certificate gets nothing', async () => {
    const socket = connect({ servername: 'router.mesh', ALPNProtocols: ['h2'] });
    await closed(socket);
    expect(await (await fetch(`http://127.0.0.1:${started.port}/`)).text()).toContain('1.1');
  });

  test('a hello that comes byte by byte is understood; one that does not end is cut', async () => {
    const proxy = net.createServer((client) => {
      const server = net.connect({ port: started.port, host: '127.0.0.1', noDelay: true });
      server.on('error', () => client.destroy()).pipe(client);
      client.on('error', () => server.destroy());
      client.on('data', async (chunk: Buffer) => {
        client.pause();
        for (const byte of chunk) {
          server.write(Buffer.from([byte]));
          await new Promise((next) => setImmediate(next));
        }
        client.resume();
      });
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const { port } = proxy.address() as net.AddressInfo;
    const socket = connect({ port });
    await once(socket, 'secureConnect');
    expect(namesOf(socket.getPeerCertificate())).toContain(NAME);
    socket.destroy();
    proxy.close();
    await endless;
  });
});
