import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { afterAll, describe, expect, test } from 'vitest';
import {
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthListRequestSchema,
  HealthListResponseSchema,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { BEARER, eventually, startTestListener } from '../transport/listener.fixture.ts';

const { listener, health } = await startTestListener();
const client = new grpc.Client(`127.0.0.1:${listener.port}`, grpc.credentials.createInsecure());
afterAll(async () => {
  client.close();
  await listener.close();
});

const root = resolve(import.meta.dirname, '../../..');
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

const encode = (service: string) =>
  Buffer.from(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service })));
const decode = (bytes: Buffer) => fromBinary(HealthCheckResponseSchema, bytes);

function check(service: string): Promise<HealthCheckResponse> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', encode, decode, service, (error, response) => {
      if (error || !response) reject(error);
      else resolve(response);
    });
  });
}

describe('health', () => {
  test('tells the state of services without a credential', async () => {
    expect((await check('')).status).toBe(NOT_SERVING);
    health.set('', true);
    health.set('mesh.router.v1.RouterService', true);
    expect((await check('')).status).toBe(SERVING);
    expect((await check('mesh.router.v1.RouterService')).status).toBe(SERVING);
    await expect(check('unknown.Service')).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
  });

  test('lists', async () => {
    const encodeList = () => Buffer.from(toBinary(HealthListRequestSchema, create(HealthListRequestSchema)));
    const decodeList = (bytes: Buffer) => fromBinary(HealthListResponseSchema, bytes);
    health.set('listed.Service', false);
    const response = await new Promise((resolve, reject) => {
      client.makeUnaryRequest('/grpc.health.v1.Health/List', encodeList, decodeList, {}, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
    expect(response).toMatchObject({ statuses: { 'listed.Service': { status: NOT_SERVING } } });
  });

  test('a watch hears of changes and stays open for a service that is not known yet', async () => {
    const stream = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', encode, decode, 'late.Service');
    const heard: number[] = [];
    stream.on('data', (response: HealthCheckResponse) => heard.push(response.status));
    stream.on('error', () => {});
    await eventually(() => heard.length === 1, 'the first state');
    health.set('late.Service', true);
    await eventually(() => heard.length === 2, 'the second state');
    health.set('late.Service', true);
    health.set('late.Service', false);
    await eventually(() => heard.length === 3, 'the third state');
    expect(heard).toEqual([SERVICE_UNKNOWN, SERVING, NOT_SERVING]);
    stream.cancel();
  });
});

describe('reflection', () => {
  const buf = (...args: string[]) =>
    promisify(execFile)(process.execPath, [
      `${root}/node_modules/@bufbuild/buf/bin/buf`,
      'curl',
      '--http2-prior-knowledge',
      ...args,
    ]);

  test.each(['grpc-v1', 'grpc-v1alpha'])('%s: buf lists every method', async (version) => {
    const { stdout } = await buf('--protocol', 'grpc', '--reflect-protocol', version, '--list-methods', listener.url);
    const methods = stdout.trim().split('\n');
    expect(methods).toContain('mesh.router.v1.RouterService/Generate');
    expect(methods).toContain('grpc.health.v1.Health/Watch');
    expect(methods).toContain('grpc.reflection.v1.ServerReflection/ServerReflectionInfo');
  });

  test('buf calls a method with nothing but reflection', async () => {
    const url = `${listener.url}/mesh.router.v1.RouterService/Generate`;
    const credential = `authorization: ${BEARER.authorization}`;
    const data = '{"prompt":{"text":"two"}}';
    const { stdout } = await buf('--protocol', 'grpc', '-H', credential, '-d', data, url);
    expect(stdout).toContain('"text": "two"');
    await expect(buf('--protocol', 'grpc', '-d', data, url)).rejects.toThrow(/unauthenticated/);
  });
});
