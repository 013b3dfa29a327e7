import { create } from '@bufbuild/protobuf';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import type { EngineConnection, EngineLaunch, EngineProbe } from './engine.ts';
import { EVENT_STREAM, OpenAiConnection, startedEvent } from './openai-connection.ts';
import { engineFailed, unsupportedField } from './openai-errors.ts';
import { type OpenAiRequest, openAiRequest } from './openai-request.ts';
import { OpenAiStream } from './openai-stream.ts';
import { StopCutter } from './stop-cutter.ts';
import { parseEngineJson, readToldError } from './told-error.ts';
import type { TransformersEntry } from './transformers-entry.ts';
import { samplingConfiguration } from './transformers-sampling.ts';

/** Whether it calls tools and tells reasoning apart depends on the model's template. */
export const TRANSFORMERS_CAPABILITIES = create(EngineCapabilitiesSchema, { chat: true, tools: true });

/**
 * The body fields that it honours. Most others it ignores with a line in its log; `frequency_penalty` it takes for a
 * repetition penalty, and image parts of a text model it drops.
 */
const FIELDS = ['model', 'messages', 'prompt', 'max_tokens', 'stop', 'tools', 'chat_template_kwargs'];

/** With continuous batching every request is sampled as the first one asked. */
const SAMPLING_FIELDS = ['temperature', 'top_p'];

const BATCHING_FLAG = '--continuous-batching';

/**
 * A way to one `transformers serve`. It has no context limit of its own and no way to count a prompt's tokens, so nothing
 * here refuses one that is longer than the model was trained for.
 */
export class TransformersConnection implements EngineConnection {
  readonly launch: EngineLaunch;
  readonly #entry: TransformersEntry;
  readonly #fields: ReadonlySet<string>;
  readonly #connection: OpenAiConnection;
  /** What it says that it serves. Unset: not asked yet. */
  #pinned: { readonly modelId: string | undefined } | undefined;

  constructor(entry: TransformersEntry, port: number, launch: EngineLaunch) {
    this.#entry = entry;
    this.#fields = new Set(fieldsOf(entry));
    this.launch = launch;
    this.#connection = new OpenAiConnection(
      { baseUrl: new URL(`http://127.0.0.1:${port}/v1`), maxConcurrency: entry.max_concurrency },
      { engine: entry.name, capabilities: TRANSFORMERS_CAPABILITIES, continuousUsage: false },
    );
  }

  generate(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): void {
    const { name: engine, model: modelId } = this.#entry;
    let upstream: OpenAiRequest;
    try {
      const dialect = { engine, capabilities: TRANSFORMERS_CAPABILITIES, fields: this.#fields, continuousUsage: false };
      // It would stumble: status 500.
      if (request.sampling?.maxTokens === 0) throw invalidField('max_tokens', 'must be at least 1');
      upstream = openAiRequest(request, modelId, dialect);
    } catch (error) {
      sink.fail(asMeshError(error));
      return;
    }
    // The bill comes unasked, and some versions refuse to be asked.
    const { stream_options: _, ...asked } = upstream.body;
    const body = { ...asked, ...samplingConfiguration(asked) };
    const stops = request.sampling?.stop ?? [];
    const decoder = (): AnswerDecoder => {
      const stream = new OpenAiStream(startedEvent(request, { modelId, engine }, call), upstream.choices);
      return stops.length > 0 ? new StopCutter(stream, stops, true) : stream;
    };
    const path = this.#connection.path(upstream.path);
    this.#connection.exchange(path, body, { engine, contentType: EVENT_STREAM, decoder }, call, sink);
  }

  tokenize(): Promise<readonly number[]> {
    return Promise.reject(unsupportedField(this.#entry.name, 'tokenize'));
  }

  /** The port opens when the model is loaded. */
  async probe(signal: AbortSignal): Promise<EngineProbe> {
    const { status } = await this.#connection.answer('GET', '/health', signal);
    // Some versions do not have that route, and /v1/models lists the hub's folder on the disk, or stumbles without one.
    if (status !== 200 && status !== 404) throw engineFailed(this.#entry.name, new Error(`/health: status ${status}`));
    this.#pinned ??= { modelId: await this.#servedModel(signal) };
    return { modelId: this.#pinned.modelId };
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /**
   * The model that it is pinned to. No route tells it, but a request for no model is refused with its name; a version that
   * overlooks the difference answers with one token, and with the name.
   */
  async #servedModel(signal: AbortSignal): Promise<string | undefined> {
    const body = { model: '', messages: [], max_tokens: 1 };
    const answer = await this.#connection.answer('POST', '/v1/chat/completions', signal, body);
    if (answer.status !== 200) return PINNED.exec(readToldError(answer.body)?.message ?? '')?.[1];
    const told = (parseEngineJson(answer.body) as { model?: unknown } | null)?.model;
    return typeof told === 'string' ? withoutMain(told) : undefined;
  }
}

const PINNED = /^Server is pinned to '(.*)'; requested /;

/** The revision that every name has which names none. */
function withoutMain(model: string): string {
  return model.replace(/@main(?=$|:)/, '');
}

function fieldsOf(entry: TransformersEntry): string[] {
  if (entry.extra_args.includes(BATCHING_FLAG)) return FIELDS;
  // One seed for the whole process: with requests side by side it repeats nothing.
  return [...FIELDS, ...SAMPLING_FIELDS, ...(entry.max_concurrency === 1 ? ['seed'] : [])];
}
