import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import pino from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import { type Engine, EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { createFakeMachine, type FakeMachine, gpusOf } from '../../test/engines/fake-nvidia-smi.ts';
import { ollamaFolder } from '../../test/engines/ollama/models.ts';
import { isRunning } from '../../test/engines/processes.ts';
import { RecordingSink, recordingCall } from '../../test/engines/recording-sink.ts';
import { RANDOM_MODEL } from '../../test/fixtures/embedded-engine.ts';
import { inferenceConfigSchema } from './config.ts';
import { createInferenceContext, type InferenceContext } from './context.ts';

// Six cold processes on a machine that may do other work.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const FAKES = join(import.meta.dirname, '../../test/engines/bin');

const ollamaModels = ollamaFolder('qwen3:8b');

/** One of each kind that is started, all on one node with devices enough. */
const MODELS = [
  { name: 'vllm', engine: 'vllm', model: 'Qwen/Qwen3-8B', devices: [0] },
  { name: 'tgi', engine: 'tgi', model: 'Qwen/Qwen3-8B', devices: [1] },
  { name: 'llama-server', engine: 'llama-server', model: RANDOM_MODEL, devices: [2] },
  { name: 'transformers', engine: 'transformers', model: 'Qwen/Qwen3-8B', devices: [3] },
  { name: 'ollama', engine: 'ollama', model: 'qwen3:8b', devices: [4], env: { OLLAMA_MODELS: ollamaModels } },
  { name: 'llama.cpp', engine: 'llama.cpp', model: RANDOM_MODEL },
];

let machine: FakeMachine;
let dataDir: string;
let context: InferenceContext;
let processIds: readonly number[] = [];

const engine = (name: string): Engine | undefined => context.engines().find((one) => one.name === name);

beforeAll(() => {
  machine = createFakeMachine({ gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 6) });
  dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const variables: Readonly<Record<string, string>> = {
    PATH: [join(machine.directory, 'bin'), FAKES, process.env.PATH].join(delimiter),
    MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
  };
  context = createInferenceContext(inferenceConfigSchema.parse({ node: 'here', models: MODELS }), {
    routers: [],
    dataDir,
    nodePath: process.execPath,
    environmentVariable: (name) => variables[name] ?? process.env[name],
    log: pino({ level: 'silent' }),
    now: Date.now,
  });
  context.start();
});
afterAll(async () => {
  await context.close();
  machine.remove();
  rmSync(dataDir, { recursive: true });
  rmSync(ollamaModels, { recursive: true });
});

test.each(MODELS)('$name is placed, becomes ready and answers', async ({ name, devices = [] }) => {
  const settled = [EngineState.READY, EngineState.BACKOFF, EngineState.QUARANTINED];
  await expect.poll(() => engine(name)?.state, { timeout: 100_000 }).toSatisfy((state) => settled.includes(state));
  expect(engine(name)?.failure).toBeUndefined();
  if (devices.length > 0) expect(engine(name)).toMatchObject({ devices, deviceKind: 'cuda' });
  processIds = [...processIds, engine(name)?.processId ?? 0];
  const sink = new RecordingSink();
  const parts = [{ part: { case: 'text' as const, value: 'Hello' } }];
  const chat = { input: { case: 'chat' as const, value: { messages: [{ role: Role.USER, parts }] } } };
  const request = create(GenerateRequestSchema, { engine: name, prompt: chat, sampling: { maxTokens: 3 } });
  context.generate(request, recordingCall(), sink);
  expect(await sink.over).toBe('end');
  expect(sink.kinds[0]).toBe('started');
  expect(
    context
      .engineLog(name)
      .tail(1_000)
      .map(({ text }) => text),
  ).toContain('[mesh] ready');
});

test('after the close nothing is left of them', async () => {
  expect(processIds.every((processId) => processId > 0)).toBe(true);
  await context.close();
  expect(context.engines().map(({ state }) => state)).toEqual(MODELS.map(() => EngineState.STOPPED));
  expect(processIds.filter(isRunning)).toEqual([]);
  expect(readdirSync(join(dataDir, 'run'))).toEqual([]);
  expect(readdirSync(join(dataDir, 'engines'))).toEqual([]);
});
