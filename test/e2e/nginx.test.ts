import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { createAuthority, writeMeshTls } from '../harness/certificates.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { hasNginx, startNginx } from '../harness/nginx.ts';
import { eventually, freePort } from '../harness/processes.ts';

const root = join(import.meta.dirname, '../..');
const request = create(GenerateRequestSchema, { model: 'fake', prompt: { input: { case: 'text', value: 'hi' } } });

if (!hasNginx()) console.log('skipped: behind nginx, needs nginx');

describe.skipIf(!hasNginx())('behind nginx, as docs/configuration.md has it', () => {
  let engine: FakeEngine;
  let mesh: TestMesh;
  let port: number;
  let nginx: { stop(): Promise<void> };
  let transports: Record<string, Transport>;
  let grpcJs: Client;
  /** The status of an answer. */
  let rest: (path: string) => Promise<number | undefined>;
  const directory = mkdtempSync(join(tmpdir(), 'mesh-nginx-tls-'));

  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    // Connections between the two that are as short-lived as can be configured.
    const server = { http2: { max_age_seconds: 1, ping_seconds: 1 } };
    const quota = { tiers: { once: { requests_per_minute: 1 } } };
    mesh = await startMesh('one process', { config: { server, quota, inference: { models } } });
    port = await freePort();
    const [, documented = ''] =
      /```nginx\n(.*?)```/s.exec(readFileSync(join(root, 'docs/configuration.md'), 'utf8')) ?? [];
    const authority = createAuthority('nginx', 'p256');
    const files = writeMeshTls(directory, 'chat', { ...authority.issue({ names: ['localhost'] }), ca: authority.ca });
    const http = documented
      .replaceAll('127.0.0.1:8000', new URL(mesh.url).host)
      .replace('443', `127.0.0.1:${port}`)
      .replace('chat.crt', files.cert)
      .replace('chat.key', files.key);
    const url = `https://127.0.0.1:${port}`;
    // Each gets its own: they write into them.
    const trust = () => ({ ca: authority.ca, servername: 'localhost' });
    const grpc = createGrpcTransport({ baseUrl: url, nodeOptions: trust() });
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    nginx = await startNginx(http, async () => {
      const { models } = await createClient(RouterService, grpc).listModels({}, { headers });
      return models.length > 0;
    });
    transports = {
      gRPC: grpc,
      'Connect over HTTP/2': createConnectTransport({ baseUrl: url, httpVersion: '2', nodeOptions: trust() }),
      'gRPC-Web over HTTP/2': createGrpcWebTransport({ baseUrl: url, httpVersion: '2', nodeOptions: trust() }),
      'Connect over HTTP/1.1': createConnectTransport({ baseUrl: url, httpVersion: '1.1', nodeOptions: trust() }),
      'gRPC-Web over HTTP/1.1': createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1', nodeOptions: trust() }),
    };
    const named = { 'grpc.ssl_target_name_override': 'localhost' };
    grpcJs = new Client(`127.0.0.1:${port}`, credentials.createSsl(Buffer.from(authority.ca)), named);
    rest = (path) =>
      new Promise((resolve, reject) => {
        const options = { ...trust(), headers: admin() };
        get(`${url}${path}`, options, (answer) => resolve(answer.resume().statusCode)).on('error', reject);
      });
  });
  afterAll(async () => {
    grpcJs?.close();
    await nginx?.stop();
    await mesh?.stop();
    await engine?.stop();
    rmSync(directory, { recursive: true });
  });

  const admin = () => ({ authorization: `Bearer ${mesh.adminKey}` });

  /** Generate by grpc-js. */
  function generate(key = mesh.adminKey) {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${key}`);
    return grpcJs.makeServerStreamRequest(
      `/${RouterService.typeName}/Generate`,
      (message: typeof request) => Buffer.from(toBinary(GenerateRequestSchema, message)),
      (bytes) => fromBinary(GenerationEventSchema, bytes),
      request,
      metadata,
    );
  }

  const protocols = ['HTTP/2', 'HTTP/1.1'].flatMap((version) => [
    `Connect over ${version}`,
    `gRPC-Web over ${version}`,
  ]);

  test.each(['gRPC', ...protocols])('%s: calls, streams and errors', async (name) => {
    await engine.script({ tokens: 5, everyMs: 5 });
    const router = createClient(RouterService, transports[name] as Transport);
    expect((await router.listModels({}, { headers: admin() })).models.length).toBeGreaterThan(0);
    const events = await Array.fromAsync(router.generate(request, { headers: admin() }));
    expect(events.at(-1)?.event.case).toBe('usage');
    const refused = await router.listModels({}).catch((caught: unknown) => ConnectError.from(caught));
    expect(refused).toMatchObject({ code: Code.Unauthenticated });
    expect((refused as ConnectError).findDetails(ErrorInfoSchema)[0]?.reason).toBe('CREDENTIAL_MISSING');
  });

  test('REST', async () => {
    expect(await rest('/v1/models')).toBe(200);
  });

  test('grpc-js reads the tokens as they come, and the trailers', async () => {
    await engine.script({ tokens: 5, holdAtToken: 2 });
    const call = generate();
    const events: GenerationEvent[] = [];
    const ended = new Promise((resolve) => call.on('status', resolve));
    call.on('data', (event: GenerationEvent) => events.push(event));
    await eventually('the first tokens are here', () => events.some(({ event }) => event.case === 'delta'));
    expect(events.some(({ event }) => event.case === 'usage')).toBe(false);
    await engine.go();
    expect(await ended).toMatchObject({ code: status.OK });
    expect(events.at(-1)?.event.case).toBe('usage');
  });

  test('grpc-js reads the details of errors from the trailers', async () => {
    const auth = createClient(AuthService, transports.gRPC as Transport);
    const { secret } = await auth.createApiKey({ name: 'once', tier: 'once' }, { headers: admin() });
    await engine.script({ tokens: 1 });
    await generate(secret).toArray();
    const error = await generate(secret)
      .toArray()
      .then(
        () => undefined,
        (caught: ServiceError) => caught,
      );
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    // google.rpc.Status, of which the details are the third field.
    const bytes = error?.metadata.get('grpc-status-details-bin')[0];
    expect(String(bytes)).toContain(RetryInfoSchema.typeName);
  });

  test('a client that cancels ends the engine’s work', async () => {
    await engine.script({ tokens: 100_000, everyMs: 10 });
    const call = generate();
    call.on('error', () => {});
    await new Promise((resolve) => call.once('data', resolve));
    await eventually('the engine works', async () => (await engine.counts()).running === 1);
    call.cancel();
    await eventually('the engine is idle', async () => (await engine.counts()).running === 0);
  });

  test('a stream outlives the age of its connection, and calls beside it lose nothing', async () => {
    await engine.script({ tokens: 300, everyMs: 10 });
    const router = createClient(RouterService, transports.gRPC as Transport);
    const events = Array.fromAsync(router.generate(request, { headers: admin() }));
    let isOver = false;
    const over = events.finally(() => {
      isOver = true;
    });
    while (!isOver) await router.listModels({}, { headers: admin() });
    expect((await over).at(-1)?.event.case).toBe('usage');
  });
});
