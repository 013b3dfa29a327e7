import { create } from '@bufbuild/protobuf';
import { type EngineCapabilities, EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { sendWithinContext } from './context-clipping.ts';
import { embedOverOpenAi } from './embeddings.ts';
import type { EngineAdapter, EngineConnection, EngineProbe, EngineSetting } from './engine.ts';
import { OpenAiConnection } from './openai-connection.ts';
import type { OpenAiEntry } from './openai-entry.ts';
import { engineFailed, type OpenAiAnswer, unsupportedField } from './openai-errors.ts';
import { parseEngineJson } from './told-error.ts';

/** What may be asked of a server that is known by its API only; it refuses by itself what it cannot do. */
const ABLE = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenPrompts: true,
  tokenIds: true,
  logprobs: true,
  choices: true,
  tools: true,
  json: true,
  images: true,
  logitBias: true,
  embeddings: true,
  continuesText: true,
});

const CONTINUES_CHAT = create(EngineCapabilitiesSchema, { ...ABLE, continuesChat: true });

const CHAT_CONTINUATION = {
  never: undefined,
  last_message: 'prefill',
  continue_final_message: 'flagged',
} as const;

function capabilitiesOf(entry: OpenAiEntry): EngineCapabilities {
  return entry.continues_chat === 'never' ? ABLE : CONTINUES_CHAT;
}

/** Any server that speaks the OpenAI API; it is somebody else's to start. */
export function openAiEngine(entry: OpenAiEntry): EngineAdapter {
  return {
    kind: entry.engine,
    capabilities: capabilitiesOf(entry),
    address: addressOf(entry.base_url),
    modelId: entry.model ?? '',
    deviceKind: 'remote',
    lifecycle: 'attached',
    portCount: 0,
    demand: () => Promise.resolve(undefined),
    connect: (setting) => connect(entry, setting),
  };
}

function connect(entry: OpenAiEntry, setting: EngineSetting): EngineConnection {
  const connection = new OpenAiConnection(
    {
      baseUrl: new URL(entry.base_url),
      apiKey: apiKeyOf(entry, setting),
      maxConcurrency: entry.max_concurrency,
    },
    {
      engine: entry.name,
      capabilities: capabilitiesOf(entry),
      continuousUsage: false,
      chatContinuation: CHAT_CONTINUATION[entry.continues_chat],
    },
  );
  let listedModelId = '';
  let contextTokens = entry.max_model_len;
  const modelId = (): string => entry.model ?? (listedModelId || entry.name);
  return {
    generate: (request, call, sink) =>
      sendWithinContext(request, contextTokens, sink, (clipped, to) =>
        connection.generate(clipped, modelId(), call, to),
      ),
    embed: (inputs, dimensions, signal) =>
      embedOverOpenAi(connection, { engine: entry.name, modelId: modelId() })(inputs, dimensions, signal),
    tokenize: () => Promise.reject(unsupportedField(entry.name, 'tokenize')),
    async probe(signal) {
      const answer = await connection.answer('GET', connection.path('/models'), signal);
      // Some servers list nothing but tell whether they are well.
      if (answer.status === 404) return readHealth(await connection.answer('GET', '/health', signal), entry);
      if (answer.status !== 200) throw engineFailed(entry.name, new Error(`/models: status ${answer.status}`));
      const probe = readModels(parseEngineJson(answer.body), entry.model);
      listedModelId = probe.modelId ?? '';
      contextTokens = entry.max_model_len ?? probe.contextTokens;
      return probe;
    },
    metricsText: connection.metricsText,
    close: () => connection.close(),
  };
}

/** The model in a server's list: the configured one, else the first. */
function readModels(answer: unknown, configured: string | undefined): EngineProbe {
  const data = (answer as { data?: unknown } | undefined)?.data;
  const models = (Array.isArray(data) ? data : []) as { id?: unknown; max_model_len?: unknown }[];
  const model = configured === undefined ? models[0] : models.find(({ id }) => id === configured);
  return {
    modelId: configured ?? (typeof model?.id === 'string' ? model.id : undefined),
    contextTokens: typeof model?.max_model_len === 'number' ? model.max_model_len : undefined,
  };
}

function readHealth({ status }: OpenAiAnswer, entry: OpenAiEntry): EngineProbe {
  if (status !== 200) throw engineFailed(entry.name, new Error(`/health: status ${status}`));
  return { modelId: entry.model };
}

function apiKeyOf(entry: OpenAiEntry, setting: EngineSetting): string | undefined {
  if (entry.api_key_env === undefined) return undefined;
  const key = setting.environmentVariable(entry.api_key_env);
  if (key) return key;
  throw new ConfigError(`inference.models '${entry.name}': api_key_env: the variable ${entry.api_key_env} is not set`);
}

/** Origin and path. */
function addressOf(baseUrl: string): string {
  const { origin, pathname } = new URL(baseUrl);
  return `${origin}${pathname}`.replace(/\/+$/, '');
}
