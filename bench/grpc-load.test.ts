import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http2, { type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../gen/mesh/generation/v1/generate_request_pb.ts';
import { GenerationEventSchema } from '../gen/mesh/generation/v1/generation_event_pb.ts';
import { type LoadFigures, runLoad } from './harness/load.ts';
import { compileNative, missingRequirements } from './harness/native.ts';
import type { Workload } from './harness/workloads.ts';
import { overGrpc } from './peers/mesh-grpc.ts';

const missing = missingRequirements({ nginx: false });
if (missing.length > 0) console.warn(`bench/grpc-load.test.ts skipped, the machine lacks: ${missing.join('; ')}`);

const TOKENS = 3;
const workload: Workload = {
  ...{ name: 'grpc-test', kind: 'stream', description: '', concurrency: 200, seconds: 5, requests: 400, rampMs: 0 },
  body: { model: 'paced', max_tokens: TOKENS, stream: true, messages: [{ role: 'user', content: 'x'.repeat(600) }] },
};

function event(value: MessageInitShape<typeof GenerationEventSchema>['event']): Buffer {
  const message = toBinary(GenerationEventSchema, create(GenerationEventSchema, { event: value } as object));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}
/** Stamps as the engine sends them: CLOCK_MONOTONIC, which is also what hrtime reads. */
const stamp = () => ` t${String(process.hrtime.bigint() / 1000n).padStart(16, '0')}`;
const delta = (text: string) => event({ case: 'delta', value: { text } });
const bill = () => event({ case: 'usage', value: { completionTokens: TOKENS } });

describe.skipIf(missing.length > 0)('the load client of gRPC', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'bench-grpc-'));
  let program: string;
  let server: Http2Server | undefined;
  const prompts = new Set<string>();

  beforeAll(() => {
    program = compileNative().grpcLoad;
  });
  afterEach(() => server?.close());
  afterAll(() => rmSync(scratch, { recursive: true }));

  /** What it says of a server that answers each stream so. */
  async function loadOn(answer: (stream: ServerHttp2Stream, path: string) => void): Promise<LoadFigures> {
    server = http2.createServer({ settings: { maxConcurrentStreams: 1_000 } });
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('error', () => {});
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        prompts.add(fromBinary(GenerateRequestSchema, Buffer.concat(chunks).subarray(5)).prompt?.input.case ?? '');
        expect(headers.authorization).toBe('Bearer sk-of-the-test');
        answer(stream, String(headers[':path']));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const target = overGrpc({ port: (server.address() as AddressInfo).port, token: 'sk-of-the-test' }, program);
    return runLoad('', target, workload, { core: 0, scratch, signal: new AbortController().signal });
  }

  function respond(stream: ServerHttp2Stream, messages: readonly Buffer[]): void {
    stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    // In pieces that are no messages, as TCP and frames may cut them.
    for (const byte of Buffer.concat(messages)) stream.write(Buffer.from([byte]));
    stream.end();
  }

  test('counts streams that are whole, with tokens that share a message', async () => {
    const figures = await loadOn((stream) => respond(stream, [delta(stamp()), delta(stamp() + stamp()), bill()]));
    expect(figures).toMatchObject({ requests: 400, errors: 0, firstError: '', tokens: 400 * TOKENS });
    expect([...prompts]).toEqual(['chat']);
  });

  test.each<[string, string, (stream: ServerHttp2Stream) => void]>([
    ['lacks a token', '2 tokens', (stream) => respond(stream, [delta(stamp()), delta(stamp()), bill()])],
    ['lacks the bill', 'no bill', (stream) => respond(stream, [delta(stamp() + stamp() + stamp())])],
    ['is reset', 'reset', (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)],
    ['loses its connection', 'connection cut', (stream) => stream.session?.destroy()],
  ])('a stream that %s is an error', async (_name, problem, answer) => {
    const figures = await loadOn(answer);
    expect(figures).toMatchObject({ requests: 0, firstError: problem });
    expect(figures.errors).toBeGreaterThan(0);
  });
});
