import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import {
  type GenerateRequest,
  GenerateRequestSchema,
  SamplingParametersSchema,
} from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';

const root = resolve(import.meta.dirname, '../..');
const buf = join(root, 'node_modules/.bin/buf');
const run = promisify(execFile);

const request = create(GenerateRequestSchema, {
  prompt: { input: { case: 'text', value: 'Once upon' } },
  sampling: { maxTokens: 10, temperature: 0 },
});

const TRANSPORTS: Record<string, (url: string) => Transport> = {
  'gRPC over h2c': (url) => createGrpcTransport({ baseUrl: url }),
  'gRPC-Web over HTTP/1.1': (url) => createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1' }),
  'gRPC-Web over h2c': (url) => createGrpcWebTransport({ baseUrl: url, httpVersion: '2' }),
  'Connect over HTTP/1.1': (url) => createConnectTransport({ baseUrl: url, httpVersion: '1.1' }),
  'Connect over h2c': (url) => createConnectTransport({ baseUrl: url, httpVersion: '2' }),
  'Connect as JSON': (url) => createConnectTransport({ baseUrl: url, httpVersion: '1.1', useBinaryFormat: false }),
};

/** The stream's events: started first, then text, one end per choice, the bill last. */
function expectWholeStream(events: readonly GenerationEvent[]): string {
  const cases = events.map((event) => event.event.case);
  expect(cases[0]).toBe('started');
  expect(cases.slice(-2)).toEqual(['finished', 'usage']);
  expect(new Set(cases.slice(1, -2))).toEqual(new Set(['delta']));
  const usage = events.at(-1)?.event;
  expect(usage?.case === 'usage' && usage.value.completionTokens).toBe(10);
  return events.map(({ event }) => (event.case === 'delta' ? event.value.text : '')).join('');
}

describe.each(arrangements())('one port, %s', (arrangement) => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', RANDOM_MODEL] });
  });
  afterAll(() => mesh.stop());

  const texts = new Set<string>();

  test.each(Object.keys(TRANSPORTS))('%s streams tokens', async (name) => {
    const client = createClient(RouterService, (TRANSPORTS[name] as (url: string) => Transport)(mesh.url));
    const events: GenerationEvent[] = [];
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    for await (const event of client.generate(request, { headers })) events.push(event);
    texts.add(expectWholeStream(events));
    expect(texts.size).toBe(1);
  });

  test.each(Object.keys(TRANSPORTS))('%s refuses who is not known', async (name) => {
    const client = createClient(RouterService, (TRANSPORTS[name] as (url: string) => Transport)(mesh.url));
    for (const headers of [{}, { authorization: 'Bearer im_unknown' }, { 'x-api-key': 'nonsense' }]) {
      const read = async () => {
        for await (const event of client.generate(request, { headers })) throw new Error(`got ${event.event.case}`);
      };
      const error = await read().catch((caught: unknown) => ConnectError.from(caught));
      expect(error?.code).toBe(Code.Unauthenticated);
      expect(error?.findDetails(ErrorInfoSchema)[0]?.reason).toMatch(/^CREDENTIAL_/);
      await expect(client.listModels({}, { headers })).rejects.toMatchObject({ code: Code.Unauthenticated });
    }
  });

  test('a @grpc/grpc-js client streams tokens, and is UNAUTHENTICATED without a key', async () => {
    const client = new grpc.Client(new URL(mesh.url).host, grpc.credentials.createInsecure());
    const call = (metadata: grpc.Metadata) =>
      client.makeServerStreamRequest<GenerateRequest, GenerationEvent>(
        `/${RouterService.typeName}/Generate`,
        (message) => Buffer.from(toBinary(GenerateRequestSchema, message)),
        (bytes) => fromBinary(GenerationEventSchema, bytes),
        request,
        metadata,
      );
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${mesh.adminKey}`);
    const events: GenerationEvent[] = [];
    for await (const event of call(metadata)) events.push(event);
    expectWholeStream(events);
    const refused = call(new grpc.Metadata()).toArray();
    await expect(refused).rejects.toMatchObject({ code: grpc.status.UNAUTHENTICATED });
    client.close();
  });

  test('peer-only methods are refused to callers, also to an admin', async () => {
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const transport = createGrpcTransport({ baseUrl: mesh.url });
    const calls = [
      createClient(AuthService, transport).authenticate({ credential: mesh.adminKey }, { headers }),
      createClient(QuotaService, transport).settle({ operationId: 'a', reservationId: 'a' }, { headers }),
      createClient(InferenceService, transport).generate(request, { headers })[Symbol.asyncIterator]().next(),
    ];
    const refusals = await Promise.allSettled(calls);
    expect(refusals.map((refusal) => refusal.status === 'rejected' && ConnectError.from(refusal.reason).code)).toEqual(
      calls.map(() => Code.PermissionDenied),
    );
  });

  test('the public port serves the services of all roles', async () => {
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const transport = createGrpcTransport({ baseUrl: mesh.url });
    const engines = await createClient(InferenceService, transport).listEngines({}, { headers });
    expect(engines.engines).toHaveLength(1);
    const created = await createClient(AuthService, transport).createApiKey({ name: 'test' }, { headers });
    expect(created.secret).toMatch(/^im_/);
    await createClient(QuotaService, transport).getLimits({}, { headers });
    expect((await createClient(TasksService, transport).list({}, { headers })).tasks).toEqual([]);
  });

  test.each(Object.keys(TRANSPORTS))('%s tells nobody unknown what is wrong with a request', async (name) => {
    const client = createClient(RouterService, (TRANSPORTS[name] as (url: string) => Transport)(mesh.url));
    const bad = create(GenerateRequestSchema, { sampling: create(SamplingParametersSchema, { temperature: 7 }) });
    await expect(Array.fromAsync(client.generate(bad))).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test('a field out of range is named', async () => {
    const client = createClient(RouterService, createGrpcTransport({ baseUrl: mesh.url }));
    const bad = create(GenerateRequestSchema, {
      ...request,
      sampling: create(SamplingParametersSchema, { temperature: 7 }),
    });
    const stream = client.generate(bad, { headers: { authorization: `Bearer ${mesh.adminKey}` } });
    const error = await stream[Symbol.asyncIterator]()
      .next()
      .catch((caught: unknown) => ConnectError.from(caught));
    expect(error).toMatchObject({ code: Code.InvalidArgument });
    expect((error as ConnectError).findDetails(ErrorInfoSchema)[0]?.metadata).toEqual({
      field: 'sampling.temperature',
    });
  });

  test('every listener tells its health', async () => {
    for (const url of new Set(mesh.urls.values())) {
      const health = createClient(Health, createGrpcTransport({ baseUrl: url }));
      expect((await health.check({ service: '' })).status).toBe(ServingStatus.SERVING);
      await expect(health.check({ service: 'no.such.Service' })).rejects.toMatchObject({ code: Code.NotFound });
    }
  });

  test('every listener tells its methods to buf curl', async () => {
    for (const url of new Set(mesh.urls.values())) {
      for (const protocol of ['grpc', 'connect']) {
        const { stdout } = await run(buf, [
          'curl',
          '--protocol',
          protocol,
          '--http2-prior-knowledge',
          '--list-methods',
          url,
        ]);
        expect(stdout).toContain('grpc.health.v1.Health/Check');
      }
    }
    const { stdout } = await run(buf, [
      'curl',
      '--protocol',
      'grpc',
      '--http2-prior-knowledge',
      '--list-methods',
      mesh.url,
    ]);
    expect(stdout).toContain('mesh.router.v1.RouterService/Generate');
    expect(stdout).toContain('mesh.tasks.v1.TasksService/Submit');
  });
});
