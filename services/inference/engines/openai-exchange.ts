import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import type { EngineExchange, EnginePool, EngineRequest } from './http/engine-pool.ts';
import type { ResponseHandler } from './http/engine-socket.ts';
import { MalformedResponseError, type ResponseHead } from './http/response-head.ts';
import {
  engineFailed,
  engineLost,
  errorOfResponse,
  errorWithoutKey,
  noHealthyEngine,
  type OpenAiAnswer,
  withoutKey,
} from './openai-errors.ts';

/** How much of an error's body is read, in bytes. */
const ERROR_BODY_LIMIT_BYTES = 64 * 1024;

/** How long an answer may stay open after its last event, in milliseconds. */
const LINGER_MS = 1_000;

/** How an engine answers a generation. */
export interface AnswerForm {
  /** The engine's name, for errors. */
  readonly engine: string;
  /** What the content type of a streamed answer starts with, e.g. "text/event-stream". */
  readonly contentType: string;
  /** Makes the decoder of one answer; called when its headers arrive. */
  readonly decoder: () => AnswerDecoder;
  /** What an answer means that is no stream. Default errorOfResponse. */
  readonly errorOf?: (engine: string, answer: OpenAiAnswer) => MeshError;
}

/**
 * One generation over HTTP. What a read brings is gathered first and handed to the sink when the read has been worked off:
 * all its tokens leave together, and a sink may pause, resume or abort any stream without re-entering a parser.
 */
export class OpenAiExchange implements ResponseHandler {
  readonly #call: GenerationCall;
  readonly #sink: GenerationSink;
  readonly #form: AnswerForm;
  readonly #apiKey: string | undefined;
  readonly #onAbort = (): void => this.#cancel(asMeshError(this.#call.signal.reason));
  /** For the whole exchange; then for what may follow its last event. */
  #timer: NodeJS.Timeout | undefined;
  #exchange: EngineExchange | undefined;
  #stream: AnswerDecoder | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #errorBody: Buffer[] = [];
  #errorBytes = 0;
  /** What to fail with after the events that came before it. */
  #failure: MeshError | undefined;
  /** The sink has had its `end` or `fail`. */
  #over = false;
  /** Nothing comes from the engine any more. */
  #answered = false;

  /** `apiKey` is what the request proves itself with. */
  constructor(form: AnswerForm, call: GenerationCall, sink: GenerationSink, apiKey: string | undefined) {
    this.#form = form;
    this.#apiKey = apiKey;
    this.#call = call;
    this.#sink = sink;
  }

  /** Sends the request. */
  start(pool: EnginePool, request: EngineRequest): void {
    const { signal, flow, timeoutMs } = this.#call;
    if (signal.aborted) {
      this.#over = true;
      this.#sink.fail(asMeshError(signal.reason));
      return;
    }
    signal.addEventListener('abort', this.#onAbort);
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#cancel(deadlineExceeded()), timeoutMs);
    try {
      this.#exchange = pool.send(request, this);
    } catch (error) {
      this.#failure = engineFailed(this.#form.engine, error);
      this.onReadOver();
      return;
    }
    flow.connect((paused) => this.#exchange?.setPaused(paused));
  }

  onHead({ status, headers }: ResponseHead): void {
    this.#status = status;
    this.#retryAfter = headers.get('retry-after');
    const isStream = headers.get('content-type')?.startsWith(this.#form.contentType) ?? false;
    if (status === 200 && isStream) this.#stream = this.#form.decoder();
  }

  onBody(bytes: Buffer): void {
    if (this.#failure) return;
    if (!this.#stream) {
      this.#onErrorBody(bytes);
      return;
    }
    try {
      this.#stream.push(bytes);
    } catch (error) {
      this.#failure = asMeshError(error);
    }
  }

  #onErrorBody(bytes: Buffer): void {
    this.#errorBytes += bytes.length;
    this.#errorBody.push(Buffer.from(bytes));
    // Enough to know what it is; the rest may be endless.
    if (this.#errorBytes > ERROR_BODY_LIMIT_BYTES) this.#failure = this.#refusal();
  }

  onComplete(): void {
    this.#answered = true;
    if (this.#over) clearTimeout(this.#timer);
    try {
      if (this.#stream) this.#stream.close();
      else this.#failure ??= this.#refusal();
    } catch (error) {
      this.#failure ??= asMeshError(error);
    }
  }

  onFailed(error: Error, wasSent: boolean): void {
    this.#answered = true;
    this.#failure ??= this.#broken(error, wasSent);
  }

  onReadOver(): void {
    const stream = this.#stream;
    if (stream) {
      const events = stream.take();
      // The sink may cancel at any of them.
      for (let at = 0; at < events.length && !this.#over; at++) this.#sink.event(events[at] as GenerationEvent);
    }
    if (this.#over) return;
    if (stream?.complete) {
      this.#leave();
      if (stream.leftRunning) this.#exchange?.abort();
      else if (!this.#answered) this.#linger();
      this.#sink.end();
    } else if (this.#failure) {
      this.#leave();
      this.#exchange?.abort();
      this.#sink.fail(errorWithoutKey(this.#failure, this.#apiKey));
    }
  }

  #cancel(error: MeshError): void {
    if (this.#over) return;
    this.#leave();
    // The socket first: the engine must stop even if the sink takes its time.
    this.#exchange?.abort();
    this.#sink.fail(error);
  }

  #leave(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#call.signal.removeEventListener('abort', this.#onAbort);
  }

  /** The rest of a complete answer normally comes in the same read and the connection is kept for the next request. */
  #linger(): void {
    this.#exchange?.setPaused(false);
    this.#timer = setTimeout(() => this.#exchange?.abort(), LINGER_MS).unref();
  }

  #refusal(): MeshError {
    const { engine, contentType, errorOf = errorOfResponse } = this.#form;
    if (this.#status === 200) return engineFailed(engine, new Error(`no ${contentType}`));
    const body = withoutKey(Buffer.concat(this.#errorBody).toString('utf8'), this.#apiKey);
    return errorOf(engine, { status: this.#status, retryAfter: this.#retryAfter, body });
  }

  #broken(error: Error, wasSent: boolean): MeshError {
    const { engine } = this.#form;
    if (!wasSent) return noHealthyEngine(engine, error);
    if (error instanceof MalformedResponseError) return engineFailed(engine, new Error(`no HTTP: ${error.message}`));
    return engineLost(engine, this.#stream?.completionTokens ?? 0, error);
  }
}

function deadlineExceeded(): MeshError {
  return new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout', { metadata: { limit: 'total' } });
}
