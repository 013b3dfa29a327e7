import { create } from '@bufbuild/protobuf';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { EngineConnection, EngineEmbeddings, EngineLaunch, EngineProbe } from './engine.ts';
import { OllamaAbilities } from './ollama-abilities.ts';
import { ollamaError } from './ollama-errors.ts';
import { notPulled } from './ollama-failures.ts';
import { OllamaLoad } from './ollama-load.ts';
import { isSameModel } from './ollama-names.ts';
import { type OllamaRequest, ollamaRequest } from './ollama-request.ts';
import { NDJSON, OllamaStream } from './ollama-stream.ts';
import { OpenAiConnection, startedEvent } from './openai-connection.ts';
import { engineFailed, unsupportedField } from './openai-errors.ts';
import type { AnswerForm } from './openai-exchange.ts';

/** What Ollama can do; whether its model can is the server's to say. */
export const OLLAMA_CAPABILITIES = create(EngineCapabilitiesSchema, {
  chat: true,
  logprobs: true,
  tools: true,
  json: true,
  images: true,
  embeddings: true,
});

/** One Ollama server and the one model that it is used for. */
export interface OllamaEndpoint {
  /** The engine's name, for errors. */
  readonly engine: string;
  readonly model: string;
  readonly baseUrl: URL;
  /** How to start it. Unset: it is somebody else's, and so is what it holds in memory. */
  readonly launch?: EngineLaunch | undefined;
  /** The context to ask for with every request, in tokens. Unset: as the server has it. */
  readonly contextTokens?: number | undefined;
  readonly maxConcurrency?: number | undefined;
  /** Sent as bearer token. Unset: none. */
  readonly apiKey?: string | undefined;
}

/** What /api/tags and /api/ps list. Nothing here is certain. */
interface ListedModel {
  readonly name?: string;
  readonly digest?: string;
  readonly capabilities?: readonly string[] | null;
  readonly context_length?: number;
}

/**
 * A way to one Ollama server, over its own API. Its OpenAI-compatible one would put the chat template around a text
 * prompt, drop messages that do not fit without a word, replace the model's own sampling defaults by OpenAI's and know
 * nothing of top_k, min_p and repetition penalties.
 */
export class OllamaConnection implements EngineConnection {
  readonly launch?: EngineLaunch;
  readonly #endpoint: OllamaEndpoint;
  readonly #connection: OpenAiConnection;
  readonly #load: OllamaLoad;
  readonly #abilities: OllamaAbilities;

  constructor(endpoint: OllamaEndpoint) {
    this.#endpoint = endpoint;
    if (endpoint.launch) this.launch = endpoint.launch;
    this.#connection = new OpenAiConnection(endpoint, {
      engine: endpoint.engine,
      capabilities: OLLAMA_CAPABILITIES,
      continuousUsage: false,
    });
    this.#load = new OllamaLoad(this.#connection, endpoint.model);
    this.#abilities = new OllamaAbilities(this.#connection, endpoint.model);
  }

  generate(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): void {
    const { engine, model, contextTokens, launch } = this.#endpoint;
    const target = { engine, model, contextTokens, shared: launch === undefined, abilities: this.#abilities.known };
    let upstream: OllamaRequest;
    try {
      upstream = ollamaRequest(request, target);
    } catch (error) {
      sink.fail(asMeshError(error));
      return;
    }
    const decoder = (): OllamaStream => new OllamaStream(startedEvent(request, { modelId: model, engine }, call));
    const path = this.#connection.path(upstream.path);
    const errorOf: AnswerForm['errorOf'] = (name, answer) => ollamaError(name, answer, upstream.thinkField);
    this.#connection.exchange(path, upstream.body, { engine, contentType: NDJSON, decoder, errorOf }, call, sink);
  }

  tokenize(): Promise<readonly number[]> {
    return Promise.reject(unsupportedField(this.#endpoint.engine, 'tokenize'));
  }

  /** @throws StartRefusedError when the model is not there or cannot be loaded; any error while it is being loaded. */
  async probe(signal: AbortSignal): Promise<EngineProbe> {
    const { model, launch } = this.#endpoint;
    const listed = find(await this.#models('/api/tags', signal), model);
    if (!listed) throw notPulled(model);
    const abilities = await this.#abilities.learn(listed, signal);
    if (launch) this.#load.require(abilities);
    const running = find(await this.#models('/api/ps', signal), model);
    return { modelId: model, contextTokens: running?.context_length };
  }

  /**
   * Vectors, normalized by Ollama.
   *
   * @throws MeshError UNSUPPORTED_FIELD for what is no text; INVALID_FIELD for a text that does not fit.
   */
  async embed(
    inputs: readonly Prompt[],
    dimensions: number | undefined,
    signal: AbortSignal,
  ): Promise<EngineEmbeddings> {
    const { engine, model } = this.#endpoint;
    const input = inputs.map(({ input: { case: kind, value } }, index) => {
      if (kind !== 'text') throw unsupportedField(engine, `input.${index}`, 'embeddings of anything but text');
      return value;
    });
    const body = { model, input, truncate: false, ...(dimensions === undefined ? {} : { dimensions }) };
    const answer = (await this.#connection.json('POST', this.#connection.path('/api/embed'), signal, body)) as
      | { embeddings?: unknown; prompt_eval_count?: unknown }
      | undefined;
    const vectors = answer?.embeddings;
    if (!Array.isArray(vectors) || vectors.length !== input.length || !vectors.every(Array.isArray)) {
      throw engineFailed(engine, new Error('not one vector for each input'));
    }
    return { vectors, promptTokens: typeof answer?.prompt_eval_count === 'number' ? answer.prompt_eval_count : 0 };
  }

  async close(): Promise<void> {
    await Promise.all([this.#load.close(), this.#connection.close()]);
  }

  async #models(path: string, signal: AbortSignal): Promise<readonly ListedModel[]> {
    const answer = await this.#connection.json('GET', this.#connection.path(path), signal);
    const models = (answer as { models?: unknown } | undefined)?.models;
    return Array.isArray(models) ? models : [];
  }
}

function find(models: readonly ListedModel[], name: string): ListedModel | undefined {
  return models.find((model) => typeof model.name === 'string' && isSameModel(model.name, name));
}
