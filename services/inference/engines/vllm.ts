import { rm } from 'node:fs/promises';
import { create } from '@bufbuild/protobuf';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { type EngineCapabilities, EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { embedOverOpenAi } from './embeddings.ts';
import type {
  DeviceDemand,
  EngineAdapter,
  EngineConnection,
  EnginePlace,
  EngineProbe,
  EngineSetting,
  EngineSleep,
} from './engine.ts';
import { readMetrics, VLLM_METRICS } from './metrics-names.ts';
import { OpenAiConnection } from './openai-connection.ts';
import { engineFailed } from './openai-errors.ts';
import { openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';
import { deviceDemand, newEngineKey, newSocketPath } from './process-launch.ts';
import type { VllmEntry } from './vllm-entry.ts';
import { generateOverVllm } from './vllm-generation.ts';
import { vllmLaunch, vllmMemoryShare, vllmSpread } from './vllm-launch.ts';
import type { VllmModel } from './vllm-request.ts';

/** Methods that make weights smaller than their files: what is needed is not in the files. */
const QUANTIZED_WHILE_LOADING = new Set(['fp8', 'ptpc_fp8', 'bitsandbytes', 'torchao', 'experts_int8', 'rtn', 'mxfp8']);

/** vLLM, `vllm serve`, on a Unix socket. */
export function vllmEngine(entry: VllmEntry): EngineAdapter {
  const capabilities = capabilitiesOf(entry);
  return {
    kind: entry.engine,
    capabilities,
    address: `started:${entry.engine}`,
    modelId: entry.model,
    deviceKind: entry.devices?.length === 0 && entry.ray_address === undefined ? 'cpu' : 'cuda',
    lifecycle: 'started',
    canSleep: entry.sleep_mode,
    portCount: 0,
    demand: () => demand(entry),
    connect: (setting, place) => connect(entry, capabilities, setting, place),
  };
}

/** Without a parser vLLM refuses to choose among tools. */
function capabilitiesOf(entry: VllmEntry): EngineCapabilities {
  if (entry.task === 'embed') return create(EngineCapabilitiesSchema, { embeddings: true, tokenize: true });
  return create(EngineCapabilitiesSchema, {
    chat: true,
    tokenPrompts: true,
    tokenIds: true,
    logprobs: true,
    choices: true,
    tools: entry.tool_call_parser !== undefined,
    json: true,
    tokenize: true,
    images: true,
    logitBias: true,
    continuesText: true,
    // A parser of reasoning takes an answer that goes on for one that begins with reasoning.
    continuesChat: entry.reasoning_parser === undefined,
  });
}

function demand(entry: VllmEntry): Promise<DeviceDemand | undefined> {
  const { split, stages } = vllmSpread(entry);
  // One sequence of full length is what vLLM insists on; with more it waits for room in its cache.
  const { model, max_model_len: contextTokens, dtype } = entry;
  // Over a Ray cluster each device holds its part of what all of them hold, here or elsewhere.
  const shrinks = entry.quantization !== undefined && QUANTIZED_WHILE_LOADING.has(entry.quantization);
  const use = shrinks ? undefined : { model, contextTokens, dtype, tensorParallel: split * stages };
  const spread = { ...entry, tensor_parallel_size: split * stages };
  return deviceDemand(spread, use, { share: vllmMemoryShare(entry), fallsBackToCpu: false });
}

function connect(
  entry: VllmEntry,
  capabilities: EngineCapabilities,
  setting: EngineSetting,
  place: EnginePlace,
): EngineConnection {
  const socketPath = newSocketPath(setting);
  const apiKey = newEngineKey();
  let contextTokens = entry.max_model_len;
  const named = { engine: entry.name, modelId: entry.model, capabilities };
  const model = (): VllmModel => ({ ...named, contextTokens });
  const connection = new OpenAiConnection(
    { baseUrl: new URL('http://localhost/v1'), socketPath, apiKey },
    { engine: entry.name, capabilities, continuousUsage: true },
  );
  return {
    launch: vllmLaunch(entry, { ...place, socketPath, apiKey }),
    generate: (request, call, sink) => generateOverVllm(connection, model(), { request, call, sink }),
    tokenize: (prompt, signal) => tokenize(connection, named, prompt, signal),
    async probe(signal) {
      const probed = await probe(connection, signal);
      contextTokens = probed.contextTokens ?? contextTokens;
      return probed;
    },
    ...(entry.sleep_mode ? { sleeping: sleeping(connection) } : {}),
    ...(capabilities.embeddings ? { embed: embedOverOpenAi(connection, named) } : {}),
    metricsText: connection.metricsText,
    async close() {
      await connection.close();
      await rm(socketPath, { force: true });
    },
  };
}

async function tokenize(
  connection: OpenAiConnection,
  { engine, modelId, capabilities }: VllmModel,
  { input }: Prompt,
  signal: AbortSignal,
): Promise<readonly number[]> {
  let body: object;
  switch (input.case) {
    case 'tokenIds':
      return input.value.ids;
    case 'text':
      body = { prompt: input.value };
      break;
    case 'chat': {
      refuseUnsupportedChat(input.value, capabilities, engine);
      const { templateOptions } = input.value;
      body = {
        messages: openAiMessages(input.value),
        ...(templateOptions ? { chat_template_kwargs: templateOptions } : {}),
      };
      break;
    }
    default:
      throw invalidField('prompt', 'is missing');
  }
  const answer = await connection.json('POST', '/tokenize', signal, { model: modelId, ...body });
  const tokens = (answer as { tokens?: unknown } | undefined)?.tokens;
  if (!Array.isArray(tokens)) throw engineFailed(engine, new Error('no tokens in the answer'));
  return tokens as number[];
}

/** Level 1: the weights go to host memory, the cache is dropped. */
function sleeping(connection: OpenAiConnection): EngineSleep {
  return {
    async sleep(signal) {
      await connection.json('POST', '/sleep?level=1', signal);
    },
    async wake(signal) {
      await connection.json('POST', '/wake_up', signal);
    },
  };
}

/** /health is only a flag that the engine died: 200 while it hangs. That is told by the metrics. */
async function probe(connection: OpenAiConnection, signal: AbortSignal): Promise<EngineProbe> {
  await connection.json('GET', '/health', signal);
  const [models, metrics] = await Promise.all([
    connection.json('GET', connection.path('/models'), signal),
    connection.answer('GET', '/metrics', signal),
  ]);
  const { data } = (models ?? {}) as { data?: { id?: unknown; max_model_len?: unknown }[] };
  const served = data?.[0];
  return {
    modelId: typeof served?.id === 'string' ? served.id : undefined,
    contextTokens: typeof served?.max_model_len === 'number' ? served.max_model_len : undefined,
    ...readMetrics(metrics.body, VLLM_METRICS),
  };
}
