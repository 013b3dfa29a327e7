import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type Engine, EngineState, EngineStateSchema, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { fakeAdapter } from '../../../test/engines/fake-adapter.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import type { EngineAdapter } from '../engines/engine.ts';
import { modelEntrySchema } from '../engines/model-entry.ts';
import { EngineProcess } from './engine-process.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function supervise(adapter: EngineAdapter): { engine: EngineProcess; states: string[]; last: () => Engine } {
  const runDirectory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const states: string[] = [];
  const entry = modelEntrySchema.parse({ name: 'chat', engine: 'llama.cpp', model: 'x.gguf' });
  const engine: EngineProcess = new EngineProcess({
    entry,
    adapter,
    setting: {
      runDirectory,
      nodePath: process.execPath,
      gpu: 'none',
      environmentVariable: (name) => process.env[name],
    },
    now: Date.now,
    log: pino({ level: 'silent' }),
    onChange: ({ state }) => {
      const name = EngineStateSchema.value[state]?.localName ?? '';
      if (states.at(-1) !== name) states.push(name);
    },
  });
  closers.push(async () => {
    await engine.stop(0);
    rmSync(runDirectory, { recursive: true });
  });
  return { engine, states, last: () => engine.status.engine };
}

function untilState(engine: EngineProcess, state: EngineState, timeout = 10_000): Promise<void> {
  return expect.poll(() => engine.status.state, { timeout, interval: 10 }).toBe(state);
}

const request = create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: 'x' } } });

test('starts, serves, drains and stops, and nothing is left', async () => {
  const { engine, states, last } = supervise(fakeAdapter({ tokens: 20, everyMs: 20 }));
  engine.start();
  await untilState(engine, EngineState.READY);
  const { processId } = last();
  expect(isRunning(processId)).toBe(true);
  expect(last().readyAt).toBeDefined();
  const sink = new RecordingSink();
  engine.connection?.generate(request, recordingCall(), sink);
  engine.status.running++;
  await expect.poll(() => sink.deltas.length).toBeGreaterThan(1);
  const stopped = engine.stop(5_000);
  void sink.over.then(() => engine.status.running--);
  await expect.poll(() => engine.connection).toBeUndefined();
  await stopped;
  expect(sink.outcome).toBe('end');
  expect(states).toEqual(['STARTING', 'READY', 'DRAINING', 'STOPPING', 'STOPPED']);
  expect(isRunning(processId)).toBe(false);
});

test('an exit that nobody asked for is a crash, code 0 too, and the engine comes back', async () => {
  const { engine, states, last } = supervise(fakeAdapter({ tokens: 9, atToken: 2, fault: 'exit', everyMs: 5 }));
  engine.start();
  await untilState(engine, EngineState.READY);
  const sink = new RecordingSink();
  engine.connection?.generate(request, recordingCall(), sink);
  expect(await sink.over).toMatchObject({ reason: 'ENGINE_LOST', metadata: { tokens_delivered: '2' } });
  await untilState(engine, EngineState.BACKOFF);
  expect(engine.connection).toBeUndefined();
  expect(last().failure).toMatchObject({ cause: FailureCause.EXITED_UNASKED, attempts: 1 });
  expect(last().failure?.hint).toContain('code 0');
  expect(last().failure?.retryAt).toBeDefined();
  await untilState(engine, EngineState.READY);
  expect(last().restarts).toBe(1);
  expect(last().failure).toBeUndefined();
  expect(states).toEqual(['STARTING', 'READY', 'BACKOFF', 'STARTING', 'READY']);
});

test('a program that ends at once tells why, without secrets, and is stopped while it waits', async () => {
  const lines = 'echo out of luck top-secret-value >&2; echo Bearer abcdef >&2; exit 3';
  const { engine, states, last } = supervise(fakeAdapter({}, ['sh', '-c', lines]));
  engine.start();
  await untilState(engine, EngineState.BACKOFF);
  await expect.poll(() => last().failure?.evidence).toEqual(['out of luck [secret]', '[secret]']);
  await engine.stop(0);
  expect(states).toEqual(['STARTING', 'BACKOFF', 'STOPPED']);
});

test('what a crashed engine leaves behind is gone before it is started again', async () => {
  const { engine, last } = supervise(fakeAdapter({}, ['sh', '-c', 'trap "" TERM; sleep 600 & echo $!; exit 3']));
  engine.start();
  await untilState(engine, EngineState.BACKOFF);
  const grandchild = Number(last().failure?.evidence[0]);
  expect(grandchild).toBeGreaterThan(0);
  expect(isRunning(grandchild)).toBe(false);
});

test('a missing program is named as such', async () => {
  const { engine, last } = supervise(fakeAdapter({}, ['/no/such/engine']));
  engine.start();
  await untilState(engine, EngineState.BACKOFF);
  expect(last().failure?.cause).toBe(FailureCause.EXECUTABLE_MISSING);
});

test('an engine is stopped while it starts', async () => {
  const { engine, states, last } = supervise(fakeAdapter({}, ['sh', '-c', 'exec sleep 60']));
  engine.start();
  await expect.poll(() => last().processId).toBeGreaterThan(0);
  const { processId } = last();
  await engine.stop(0);
  expect(isRunning(processId)).toBe(false);
  expect(states).toEqual(['STARTING', 'STOPPING', 'STOPPED']);
});

test('an engine that was never started is stopped at once', async () => {
  const { engine, states } = supervise(fakeAdapter());
  await engine.stop(0);
  expect(states).toEqual(['STOPPED']);
});
