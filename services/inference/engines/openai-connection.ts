import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { TraceHeaders } from '../../shared/observability/trace-headers.ts';
import { tracer } from '../../shared/observability/tracer.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import { EnginePool } from './http/engine-pool.ts';
import { wholeAnswer } from './http/whole-answer.ts';
import { errorOfResponse, noHealthyEngine, type OpenAiAnswer, withoutKey } from './openai-errors.ts';
import { type AnswerForm, OpenAiExchange } from './openai-exchange.ts';
import { type OpenAiDialect, type OpenAiRequest, openAiRequest } from './openai-request.ts';
import { OpenAiStream } from './openai-stream.ts';
import { parseEngineJson } from './told-error.ts';

/** Where an OpenAI-compatible server is. */
export interface OpenAiEndpoint {
  /** The base URL; over a socket only its path counts. */
  readonly baseUrl: URL;
  /** The Unix socket to connect to. Unset: TCP. */
  readonly socketPath?: string;
  /** Sent as bearer token. Unset: none. */
  readonly apiKey?: string | undefined;
  /** How long an idle connection is kept, in milliseconds; less than the server keeps it. Default 4 s. */
  readonly keepAliveMs?: number;
  /** How many requests may run at a time. Unset: no limit. */
  readonly maxConcurrency?: number | undefined;
}

/** The content type of a stream of server-sent events. */
export const EVENT_STREAM = 'text/event-stream';

/** The connections to one OpenAI-compatible server: one for each running generation, kept between them. */
export class OpenAiConnection {
  readonly #dialect: OpenAiDialect;
  readonly #basePath: string;
  /** Names and values by turns, as the token path sends them. */
  readonly #headerList: readonly string[];
  readonly #apiKey: string | undefined;
  readonly #generations: EnginePool;
  /** Of its own, so that a probe never waits behind generations. */
  readonly #control: EnginePool;

  constructor(endpoint: OpenAiEndpoint, dialect: OpenAiDialect) {
    this.#dialect = dialect;
    this.#basePath = endpoint.baseUrl.pathname.replace(/\/+$/, '');
    const { apiKey } = endpoint;
    this.#headerList = headerList({
      'content-type': 'application/json',
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    });
    this.#apiKey = apiKey;
    const { baseUrl, socketPath, maxConcurrency: maxConnections, keepAliveMs } = endpoint;
    this.#generations = new EnginePool({ origin: baseUrl, socketPath, maxConnections, keepAliveMs });
    this.#control = new EnginePool({ origin: baseUrl, socketPath, keepAliveMs });
  }

  /** Runs a request for `modelId`; the contract of the token seam holds. */
  generate(request: GenerateRequest, modelId: string, call: GenerationCall, sink: GenerationSink): void {
    let upstream: OpenAiRequest;
    try {
      upstream = openAiRequest(request, modelId, this.#dialect);
    } catch (error) {
      sink.fail(asMeshError(error));
      return;
    }
    const { engine } = this.#dialect;
    const started = startedEvent(request, { modelId, engine }, call);
    const decoder = (): OpenAiStream => new OpenAiStream(started, upstream.choices);
    this.exchange(this.path(upstream.path), upstream.body, { engine, contentType: EVENT_STREAM, decoder }, call, sink);
  }

  /** Sends a generation in the engine's own words; `path` counts from the server's root. The token seam's contract holds. */
  exchange(path: string, body: unknown, form: AnswerForm, call: GenerationCall, sink: GenerationSink): void {
    new OpenAiExchange(form, call, sink, this.#apiKey).start(this.#generations, {
      method: 'POST',
      path,
      headers: [
        ...this.#headerList,
        'accept',
        form.contentType,
        'x-request-id',
        call.requestId,
        ...headerList(call.trace),
      ],
      body: JSON.stringify(body),
    });
  }

  /**
   * A small request outside the token path. `path` counts from the server's root.
   *
   * @throws MeshError as errorOfResponse says, NO_HEALTHY_ENGINE; an Error for what is no JSON.
   */
  async json(method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: unknown): Promise<unknown> {
    const answer = await this.answer(method, path, signal, body);
    if (answer.status < 300) return answer.body === '' ? undefined : parseEngineJson(answer.body);
    throw errorOfResponse(this.#dialect.engine, answer);
  }

  /**
   * As `json`, but any status is an answer.
   *
   * @throws MeshError NO_HEALTHY_ENGINE when there is none; the signal's reason.
   */
  async answer(method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: unknown): Promise<OpenAiAnswer> {
    try {
      const request = {
        ...{ method, path, headers: [...this.#headerList, ...headerList(tracer().activeHeaders)] },
        body: body === undefined ? undefined : JSON.stringify(body),
      };
      const { status, headers, body: text } = await wholeAnswer(this.#control, request, signal);
      return { status, retryAfter: headers.get('retry-after'), body: withoutKey(text, this.#apiKey) };
    } catch (error) {
      throw signal.aborted ? error : noHealthyEngine(this.#dialect.engine, error);
    }
  }

  /**
   * The server's own metrics; "" where it has none.
   *
   * @throws MeshError as `answer`, and ENGINE_BUSY while it answers with 5xx.
   */
  readonly metricsText = async (signal: AbortSignal): Promise<string> => {
    const answer = await this.answer('GET', '/metrics', signal);
    if (answer.status >= 500) throw errorOfResponse(this.#dialect.engine, answer);
    return answer.status === 200 ? answer.body : '';
  };

  /** Below the base URL, e.g. "/models" → "/v1/models". */
  path(name: string): string {
    return `${this.#basePath}${name}`;
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    this.#generations.close();
    this.#control.close();
  }
}

/** Names and values by turns: an engine that records traces makes its spans parts of this one. */
function headerList(trace: TraceHeaders = {}): string[] {
  return Object.entries(trace).flat();
}

/** The first event of a generation's stream. */
export function startedEvent(
  request: GenerateRequest,
  { modelId, engine }: { readonly modelId: string; readonly engine: string },
  call: GenerationCall,
): Started {
  return {
    $typeName: 'mesh.generation.v1.Started',
    requestId: call.requestId,
    model: request.model,
    modelId,
    engine,
    limits: [],
  };
}
