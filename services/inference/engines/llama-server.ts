import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { type EngineCapabilities, EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { embedOverOpenAi } from './embeddings.ts';
import type {
  DeviceDemand,
  EngineAdapter,
  EngineConnection,
  EnginePlace,
  EngineProbe,
  EngineSetting,
} from './engine.ts';
import { llamaServerLaunch } from './llama-server-launch.ts';
import { type LlamaServerRequest, llamaServerRequest } from './llama-server-request.ts';
import { LlamaServerStream } from './llama-server-stream.ts';
import { LLAMA_SERVER_METRICS, readMetrics } from './metrics-names.ts';
import type { LlamaServerEntry } from './model-entry.ts';
import { EVENT_STREAM, OpenAiConnection, startedEvent } from './openai-connection.ts';
import { engineFailed, unsupportedField } from './openai-errors.ts';
import { openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';
import { OpenAiStream } from './openai-stream.ts';
import { deviceDemand, newEngineKey, newSocketPath } from './process-launch.ts';

const GENERATES = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenPrompts: true,
  tokenIds: true,
  logprobs: true,
  choices: true,
  tools: true,
  json: true,
  tokenize: true,
  images: true,
  logitBias: true,
});

const EMBEDS = create(EngineCapabilitiesSchema, { embeddings: true, tokenize: true });

/** llama.cpp's own server, `llama-server`, on a Unix socket. */
export function llamaServerEngine(entry: LlamaServerEntry): EngineAdapter {
  const modelId = basename(entry.model, '.gguf');
  const capabilities = entry.task === 'embed' ? EMBEDS : GENERATES;
  return {
    kind: entry.engine,
    capabilities,
    address: `unix:${entry.engine}`,
    modelId,
    deviceKind: 'cpu',
    lifecycle: 'started',
    portCount: 0,
    demand: () => demand(entry),
    connect: (setting, place) => connect({ entry, modelId, capabilities }, setting, place),
  };
}

function demand(entry: LlamaServerEntry): Promise<DeviceDemand | undefined> {
  if (entry.gpu_layers === 0) return Promise.resolve(undefined);
  const { model, max_model_len: contextTokens, max_concurrency: concurrency } = entry;
  // Who names layers or devices wants them there.
  const fallsBackToCpu = entry.gpu_layers === undefined && entry.devices === undefined;
  return deviceDemand(entry, { model, contextTokens, concurrency }, { fallsBackToCpu });
}

/** An engine of an entry. */
interface Served {
  readonly entry: LlamaServerEntry;
  readonly modelId: string;
  readonly capabilities: EngineCapabilities;
}

function connect(served: Served, setting: EngineSetting, place: EnginePlace): EngineConnection {
  const { entry, modelId, capabilities } = served;
  const socketPath = newSocketPath(setting);
  const apiKey = newEngineKey();
  const connection = new OpenAiConnection(
    { baseUrl: new URL('http://localhost/v1'), socketPath, apiKey, maxConcurrency: entry.max_concurrency },
    { engine: entry.name, capabilities, continuousUsage: false },
  );
  const embed = embedOverOpenAi(connection, { engine: entry.name, modelId });
  return {
    launch: llamaServerLaunch(entry, modelId, { ...place, socketPath, apiKey }),
    generate: (request, call, sink) => generate(served, connection, { request, call, sink }),
    tokenize: (prompt, signal) => tokenize(served, connection, prompt, signal),
    probe: (signal) => probe(connection, signal),
    ...(capabilities.embeddings ? { embed } : {}),
    async close() {
      await connection.close();
      await rm(socketPath, { force: true });
    },
  };
}

interface Generation {
  readonly request: GenerateRequest;
  readonly call: GenerationCall;
  readonly sink: GenerationSink;
}

function generate(served: Served, connection: OpenAiConnection, { request, call, sink }: Generation): void {
  const { entry, modelId, capabilities } = served;
  const engine = entry.name;
  let upstream: LlamaServerRequest;
  try {
    if (entry.task === 'embed') throw unsupportedField(engine, 'prompt', 'generating text');
    upstream = llamaServerRequest(request, modelId, engine, capabilities);
  } catch (error) {
    sink.fail(asMeshError(error));
    return;
  }
  const { sampling } = request;
  const started = startedEvent(request, { modelId, engine }, call);
  const topLogprobs = sampling?.logprobs ? (sampling.topLogprobs ?? 0) : undefined;
  const asked = { tokenIds: sampling?.returnTokenIds ?? false, topLogprobs };
  const decoder = (): AnswerDecoder =>
    upstream.path === '/completion'
      ? new LlamaServerStream(started, upstream.choices, asked)
      : new OpenAiStream(started, upstream.choices);
  connection.exchange(upstream.path, upstream.body, { engine, contentType: EVENT_STREAM, decoder }, call, sink);
}

async function tokenize(
  { entry: { name: engine }, capabilities }: Served,
  connection: OpenAiConnection,
  { input }: Prompt,
  signal: AbortSignal,
): Promise<readonly number[]> {
  let content: unknown;
  switch (input.case) {
    case 'tokenIds':
      return input.value.ids;
    case 'text':
      content = input.value;
      break;
    case 'chat': {
      refuseUnsupportedChat(input.value, capabilities, engine);
      const { templateOptions } = input.value;
      const body = {
        messages: openAiMessages(input.value),
        ...(templateOptions ? { chat_template_kwargs: templateOptions } : {}),
      };
      const answer = await connection.json('POST', '/apply-template', signal, body);
      content = (answer as { prompt?: unknown } | undefined)?.prompt;
      break;
    }
    default:
      throw invalidField('prompt', 'is missing');
  }
  // As its generation routes do with both.
  const answer = await connection.json('POST', '/tokenize', signal, { content, add_special: true });
  const tokens = (answer as { tokens?: unknown } | undefined)?.tokens;
  if (!Array.isArray(tokens)) throw engineFailed(engine, new Error('no tokens in the answer'));
  return tokens as number[];
}

/** 503 "Loading model" until the weights are there. */
async function probe(connection: OpenAiConnection, signal: AbortSignal): Promise<EngineProbe> {
  await connection.json('GET', '/health', signal);
  const [models, properties, metrics] = await Promise.all([
    connection.json('GET', connection.path('/models'), signal),
    connection.json('GET', '/props', signal),
    connection.answer('GET', '/metrics', signal),
  ]);
  const { data } = (models ?? {}) as { data?: { id?: unknown }[] };
  const { default_generation_settings: settings } = (properties ?? {}) as {
    default_generation_settings?: { n_ctx?: unknown };
  };
  return {
    modelId: typeof data?.[0]?.id === 'string' ? data[0].id : undefined,
    contextTokens: typeof settings?.n_ctx === 'number' ? settings.n_ctx : undefined,
    ...readMetrics(metrics.body, LLAMA_SERVER_METRICS),
  };
}
