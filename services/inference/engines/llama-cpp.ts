import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type {
  EngineAdapter,
  EngineConnection,
  EngineLaunch,
  EnginePlace,
  EngineProgress,
  EngineSetting,
} from './engine.ts';
import type { LlamaCppEntry } from './model-entry.ts';
import { OpenAiConnection } from './openai-connection.ts';
import { engineFailed } from './openai-errors.ts';
import { openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';
import { deviceDemand, newEngineKey, newSocketPath, processLaunch, type StartedEntry } from './process-launch.ts';

const CHILD_PROGRAM = join(import.meta.dirname, '..', 'embedded', 'main.ts');
const KEY_VARIABLE = 'MESH_ENGINE_KEY';

const CAPABILITIES = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenPrompts: true,
  tokenIds: true,
  logprobs: true,
  json: true,
  tokenize: true,
  logitBias: true,
});

/** More than any context holds; the child clips it to what is left. */
const UNBOUNDED_TOKENS = 2 ** 31 - 1;

/** The least that is worth a device: where less is free for the cache, the child shortens its context further. */
const SMALLEST_CACHE_TOKENS = 8_192;

/** Half of what the child keeps. */
const KEEP_ALIVE_MS = 300_000;

/** The body fields that the child honours. */
const FIELDS = new Set([
  'model',
  'messages',
  'prompt',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'frequency_penalty',
  'presence_penalty',
  'repetition_penalty',
  'seed',
  'stop',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'response_format',
  'guided_json',
  'ignore_eos',
  'return_token_ids',
]);

/** llama.cpp inside a child process of ours, on a Unix socket. */
export function llamaCppEngine(entry: LlamaCppEntry): EngineAdapter {
  const modelId = basename(entry.model, '.gguf');
  return {
    kind: entry.engine,
    capabilities: CAPABILITIES,
    address: `embedded:${entry.engine}`,
    modelId,
    deviceKind: 'cpu',
    lifecycle: 'started',
    portCount: 0,
    demand: () => {
      const use = { model: entry.model, contextTokens: entry.max_model_len ?? SMALLEST_CACHE_TOKENS };
      // Who names devices wants it there.
      const fallsBackToCpu = entry.devices === undefined;
      return deviceDemand(entry, { ...use, concurrency: entry.max_concurrency }, { fallsBackToCpu });
    },
    connect: (setting, place) => connect(entry, modelId, setting, place),
  };
}

function connect(
  entry: LlamaCppEntry,
  modelId: string,
  setting: EngineSetting,
  { devices }: EnginePlace,
): EngineConnection {
  const socketPath = newSocketPath(setting);
  const apiKey = newEngineKey();
  const connection = new OpenAiConnection(
    { baseUrl: new URL('http://localhost/v1'), socketPath, apiKey, keepAliveMs: KEEP_ALIVE_MS },
    {
      engine: entry.name,
      capabilities: CAPABILITIES,
      fields: FIELDS,
      unboundedTokens: UNBOUNDED_TOKENS,
      continuousUsage: true,
    },
  );
  return {
    launch: launch(entry, setting, { devices, socketPath, apiKey }),
    generate: (request, call, sink) => connection.generate(request, modelId, call, sink),
    async tokenize(prompt, signal) {
      const answer = await connection.json('POST', '/tokenize', signal, tokenizeBody(prompt, entry.name));
      const tokens = (answer as { tokens?: unknown } | undefined)?.tokens;
      if (!Array.isArray(tokens)) throw engineFailed(entry.name, new Error('no tokens in the answer'));
      return tokens as number[];
    },
    async probe(signal) {
      const health = await connection.json('GET', '/health', signal);
      const waiting = (health as { requests_waiting?: unknown } | undefined)?.requests_waiting;
      return { waiting: typeof waiting === 'number' ? waiting : undefined };
    },
    async close() {
      await connection.close();
      await rm(socketPath, { force: true });
    },
  };
}

/** Where one start runs and listens. */
interface ChildPlace {
  readonly devices: readonly number[];
  readonly socketPath: string;
  readonly apiKey: string;
}

function launch(
  entry: LlamaCppEntry,
  setting: EngineSetting,
  { devices, socketPath, apiKey }: ChildPlace,
): EngineLaunch {
  const child = [CHILD_PROGRAM, '--model', entry.model, '--socket', socketPath];
  if (entry.max_model_len !== undefined) child.push('--context', String(entry.max_model_len));
  if (entry.max_concurrency !== undefined) child.push('--sequences', String(entry.max_concurrency));
  child.push('--gpu', gpuChoice(entry, setting), '--api-key-env', KEY_VARIABLE);
  return processLaunch(
    entry,
    { devices, ports: [] },
    {
      program: setting.nodePath,
      // The young generation is capped as in the mesh itself: uncapped it only costs memory.
      args: ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', ...child],
      environment: { [KEY_VARIABLE]: apiKey },
      secrets: [apiKey],
      readLine: readProgress,
      failures: [],
    },
  );
}

/** Where there is no room for it on CUDA's devices none of them is shown to it; other makers' GPUs are its to find. */
function gpuChoice({ devices, cudaOnly }: StartedEntry, setting: EngineSetting): 'auto' | 'none' | 'cuda' {
  if (devices?.length === 0) return 'none';
  // Asked for it does not fall back to something slower in silence.
  return devices === undefined && cudaOnly !== true ? setting.gpu : 'cuda';
}

/** A line of the child's standard output, if it is one of its reports. */
function readProgress(line: string, fromStderr: boolean): EngineProgress | undefined {
  if (fromStderr) return undefined;
  if (!line.startsWith('{')) return undefined;
  let report: Readonly<Record<string, unknown>>;
  try {
    report = JSON.parse(line);
  } catch {
    return undefined; // Some other output that happens to start with a brace.
  }
  if (report.event === 'loading') return { stage: 'loading weights', percent: number(report.percent) };
  if (report.event !== 'ready') return undefined;
  const device = report.device;
  return {
    stage: 'ready',
    deviceKind: typeof device === 'string' ? device : undefined,
    contextTokens: number(report.contextTokens),
    maxConcurrency: number(report.sequences),
  };
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? Math.round(value) : undefined;
}

function tokenizeBody(prompt: Prompt, engine: string): object {
  switch (prompt.input.case) {
    case 'chat':
      refuseUnsupportedChat(prompt.input.value, CAPABILITIES, engine);
      return { messages: openAiMessages(prompt.input.value) };
    case 'tokenIds':
      return { prompt: prompt.input.value.ids };
    case 'text':
      return { content: prompt.input.value };
    default:
      throw invalidField('prompt', 'is missing');
  }
}
