import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type EngineCapabilities, EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { flagMeant, LLAMA_CPP } from './command-line.ts';
import { embedOverOpenAi } from './embeddings.ts';
import type { DeviceDemand, EngineAdapter, EngineConnection, EnginePlace, EngineSetting } from './engine.ts';
import { LlamaServerChatStream } from './llama-server-chat-stream.ts';
import { LlamaServerControl } from './llama-server-control.ts';
import type { LlamaServerEntry } from './llama-server-entry.ts';
import { errorOfLlamaServer } from './llama-server-errors.ts';
import { llamaServerLaunch } from './llama-server-launch.ts';
import { type LlamaServerRequest, llamaServerRequest } from './llama-server-request.ts';
import { LlamaServerStream } from './llama-server-stream.ts';
import { EVENT_STREAM, OpenAiConnection, startedEvent } from './openai-connection.ts';
import { unsupportedField } from './openai-errors.ts';
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
  logitBias: true,
  continuesText: true,
  continuesChat: true,
});

/** With a projector, which turns images into tokens. */
const SEES = create(EngineCapabilitiesSchema, { ...GENERATES, images: true });

const PROJECTOR = ['--mmproj', '-mm', '--mmproj-url', '-mmu'];

const EMBEDS = create(EngineCapabilitiesSchema, { embeddings: true, tokenize: true });

/** llama.cpp's own server, `llama-server`, on a Unix socket. */
export function llamaServerEngine(entry: LlamaServerEntry): EngineAdapter {
  // A comma would make two names of it.
  const modelId = basename(entry.model, '.gguf').replaceAll(',', '_');
  const sees = entry.extra_args.some((argument) => flagMeant(argument, PROJECTOR, LLAMA_CPP) !== undefined);
  const capabilities = entry.task === 'embed' ? EMBEDS : sees ? SEES : GENERATES;
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
  const control = new LlamaServerControl(entry.name, connection, capabilities);
  const overOpenAi = embedOverOpenAi(connection, { engine: entry.name, modelId });
  const embed: typeof overOpenAi = (inputs, dimensions, embedSignal) => {
    // It takes the number and ignores it.
    if (dimensions !== undefined) return Promise.reject(unsupportedField(entry.name, 'dimensions'));
    return overOpenAi(inputs, undefined, embedSignal);
  };
  return {
    launch: llamaServerLaunch(entry, modelId, { ...place, socketPath, apiKey }),
    generate: (request, call, sink) =>
      generate({ ...served, capabilities: control.capabilities }, connection, { request, call, sink }),
    tokenize: (prompt, signal) => control.tokens(prompt, signal),
    probe: (signal) => control.probe(signal),
    ...(capabilities.embeddings ? { embed } : {}),
    metricsText: connection.metricsText,
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
      : new LlamaServerChatStream(started, upstream.choices, asked);
  const form = { engine, contentType: EVENT_STREAM, decoder, errorOf: errorOfLlamaServer };
  connection.exchange(upstream.path, upstream.body, form, call, sink);
}
