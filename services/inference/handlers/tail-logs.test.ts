import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type Client, createHandlerContext, createRouterTransport } from '@connectrpc/connect';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  InferenceService,
  TailLogsRequestSchema,
  type TailLogsResponse,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { createErrorInterceptor, createErrorMapper } from '../../shared/interceptors/errors.ts';
import { createMeshClient } from '../../shared/transport/client.ts';
import { createEngineLog, type EngineLog } from '../supervisor/engine-log.ts';
import { tailLogs } from './tail-logs.ts';

const log = pino({ level: 'silent' });
/** Other tests may run at the same time. */
const PATIENCE = { timeout: 60_000 };
let directory = '';
let chat: EngineLog;
/** How often it was followed and not left. */
let followers = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const engineLog = createEngineLog({ name: 'chat', directory, now: () => 1_500, log });
  followers = 0;
  chat = {
    ...engineLog,
    follow(listener, onClose) {
      const leave = engineLog.follow(listener, onClose);
      followers += 1;
      return () => {
        followers -= 1;
        leave();
      };
    },
  };
});
afterEach(async () => {
  await chat.close();
  rmSync(directory, { recursive: true });
});

const handler = () =>
  tailLogs({
    node: 'here',
    engineLog(engine) {
      if (engine === 'chat') return chat;
      throw new MeshError('MODEL_NOT_FOUND', `No engine '${engine}' here.`, { metadata: { model: engine } });
    },
  });

function client(): Client<typeof InferenceService> {
  const transport = createRouterTransport((router) => router.service(InferenceService, { tailLogs: handler() }), {
    router: { interceptors: [createErrorInterceptor(createErrorMapper(log))] },
  });
  return createMeshClient(InferenceService, transport);
}

/** The context of a call to the handler itself. */
const callOf = (requestSignal: AbortSignal) =>
  createHandlerContext({
    service: InferenceService,
    method: InferenceService.method.tailLogs,
    protocolName: 'grpc',
    requestMethod: 'POST',
    url: 'http://localhost/',
    requestSignal,
  });

/** Reads as fast as it can until the stream ends; `seen` grows meanwhile. */
function reading(request: { engine: string; lines: number; node?: string; pastOnly?: boolean }, signal?: AbortSignal) {
  const seen: string[] = [];
  const done = (async () => {
    for await (const { lines } of client().tailLogs(request, signal ? { signal } : {})) {
      seen.push(...lines.map(({ text }) => text));
    }
  })();
  return { seen, done };
}

test('the last lines come first, then what follows, until the log is closed', async () => {
  for (let index = 0; index < 10; index++) chat.add(String(index));
  const { seen, done } = reading({ engine: 'chat', lines: 2 });
  await expect.poll(() => seen, PATIENCE).toEqual(['[mesh] 8', '[mesh] 9']);
  chat.add('next');
  await expect.poll(() => seen.at(-1), PATIENCE).toBe('[mesh] next');
  await chat.close();
  await done;
  expect(seen).toHaveLength(3);
});

test('a line tells when and where from', async () => {
  const start = chat.forStart(['s3cr3t']);
  start.reader(true)('the key is s3cr3t\n');
  const stop = new AbortController();
  const stream = client().tailLogs({ engine: 'chat', node: 'here', lines: 10 }, { signal: stop.signal });
  const first = (await stream[Symbol.asyncIterator]().next()).value as TailLogsResponse;
  expect(first.lines).toMatchObject([{ fromStderr: true, text: 'the key is [secret]', at: { seconds: 1n } }]);
  stop.abort();
});

test('without past lines only what follows comes', async () => {
  chat.add('past');
  const { seen, done } = reading({ engine: 'chat', lines: 0, node: 'here' });
  await expect.poll(() => followers, PATIENCE).toBe(1);
  chat.add('next');
  await chat.close();
  await done;
  expect(seen).toEqual(['[mesh] next']);
});

test('all past lines come, however many messages they need', async () => {
  for (let index = 0; index < 900; index++) chat.add(String(index));
  const { seen, done } = reading({ engine: 'chat', lines: 10_000 });
  await expect.poll(() => seen.length, PATIENCE).toBe(900);
  await chat.close();
  await done;
  expect(new Set(seen).size).toBe(900);
});

test('past lines alone end the stream, and nobody follows', async () => {
  for (let index = 0; index < 450; index++) chat.add(String(index));
  const { seen, done } = reading({ engine: 'chat', lines: 430, pastOnly: true });
  await done;
  expect([seen.length, seen[0], seen.at(-1), followers]).toEqual([430, '[mesh] 20', '[mesh] 449', 0]);
});

test('a reader that leaves is forgotten', async () => {
  const stop = new AbortController();
  const { done } = reading({ engine: 'chat', lines: 5 }, stop.signal);
  await expect.poll(() => followers, PATIENCE).toBe(1);
  stop.abort();
  await expect(done).rejects.toThrow();
  expect(followers).toBe(0);
});

test('an engine or a node that is not here is told', async () => {
  await expect(reading({ engine: 'other', lines: 5 }).done).rejects.toThrow(/No engine 'other'/);
  await expect(reading({ engine: 'chat', node: 'there', lines: 5 }).done).rejects.toThrow(/No node 'there'/);
  expect(followers).toBe(0);
});

test('a slow reader holds a bounded number of lines and is told what it missed', async () => {
  for (let index = 0; index < 100; index++) chat.add(`past ${index}`);
  const stop = new AbortController();
  const context = callOf(stop.signal);
  const stream = handler()(create(TailLogsRequestSchema, { engine: 'chat', lines: 100 }), context);
  const reader = stream[Symbol.asyncIterator]();
  const next = async () => ((await reader.next()).value as TailLogsResponse).lines.map(({ text }) => text);
  expect(await next()).toHaveLength(100);
  // Nothing is read meanwhile.
  for (let index = 0; index < 50_000; index++) chat.add(`new ${index}`);
  const rest = await next();
  const missed = Number(/^\[mesh\] (\d+) lines were left out/.exec(rest[0] ?? '')?.[1]);
  expect(missed).toBeGreaterThanOrEqual(48_000);
  expect(rest[1]).toBe(`[mesh] new ${missed}`);
  await chat.close();
  let last = rest.at(-1);
  let count = rest.length - 1;
  for (let result = await reader.next(); !result.done; result = await reader.next()) {
    const { lines } = result.value as TailLogsResponse;
    count += lines.length;
    last = lines.at(-1)?.text;
  }
  expect(last).toBe('[mesh] new 49999');
  expect(count + missed).toBe(50_000);
  context.abort();
});

test('a call that is aborted while the log is open tells what is written by then, and says why it ends', async () => {
  const stop = new AbortController();
  const context = callOf(stop.signal);
  const reader = handler()(create(TailLogsRequestSchema, { engine: 'chat' }), context)[Symbol.asyncIterator]();
  await reader.next();
  chat.add('last');
  stop.abort(new Error('the port closes'));
  const { lines } = (await reader.next()).value as TailLogsResponse;
  expect(lines.map(({ text }) => text)).toEqual(['[mesh] last']);
  await expect(reader.next()).rejects.toThrow('the port closes');
  expect(followers).toBe(0);
});
