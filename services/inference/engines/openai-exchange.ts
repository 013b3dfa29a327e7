import { nextTick } from 'node:process';
import { type Dispatcher, errors } from 'undici';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import {
  engineFailed,
  engineLost,
  errorOfResponse,
  errorWithoutKey,
  noHealthyEngine,
  type OpenAiAnswer,
  withoutBytes,
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
 * One generation over HTTP: the handler of one undici dispatch.
 *
 * Callbacks of the parser only gather; the sink is called in a tick of its own right after the socket's read has been
 * worked off. So all tokens of a read leave together, and a sink may pause, resume or abort any stream without
 * re-entering a parser.
 */
export class OpenAiExchange implements Dispatcher.DispatchHandler {
  readonly #call: GenerationCall;
  readonly #sink: GenerationSink;
  readonly #form: AnswerForm;
  readonly #apiKey: string | undefined;
  readonly #onAbort = (): void => this.#cancel(asMeshError(this.#call.signal.reason));
  #deadline: NodeJS.Timeout | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #stream: AnswerDecoder | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #errorBody: Buffer[] = [];
  #errorBytes = 0;
  /** What to fail with after the events that came before it. */
  #failure: MeshError | undefined;
  /** The sink has had its `end` or `fail`. */
  #over = false;
  /** undici has had its last callback. */
  #answered = false;
  #scheduled = false;

  /** `apiKey` is what the request proves itself with. */
  constructor(form: AnswerForm, call: GenerationCall, sink: GenerationSink, apiKey: string | undefined) {
    this.#form = form;
    this.#apiKey = apiKey;
    this.#call = call;
    this.#sink = sink;
  }

  /** Sends the request. */
  start(dispatcher: Dispatcher, options: Dispatcher.DispatchOptions): void {
    const { signal, flow, timeoutMs } = this.#call;
    if (signal.aborted) {
      this.#over = true;
      this.#sink.fail(asMeshError(signal.reason));
      return;
    }
    signal.addEventListener('abort', this.#onAbort);
    if (timeoutMs !== undefined) this.#deadline = setTimeout(() => this.#cancel(deadlineExceeded()), timeoutMs);
    flow.connect((paused) => {
      if (this.#over || this.#answered) return; // The connection may belong to another request by now.
      if (paused) this.#controller?.pause();
      else this.#controller?.resume();
    });
    dispatcher.dispatch(options, this);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Cancelled while it waited for a connection: the request is never written.
    if (this.#over) controller.abort(new Error('cancelled'));
    else if (this.#call.flow.paused) controller.pause();
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    this.#status = status;
    this.#retryAfter = single(headers['retry-after']);
    const isStream = single(headers['content-type'])?.startsWith(this.#form.contentType) ?? false;
    if (status !== 200 || !isStream) return;
    this.#stream = this.#form.decoder();
    this.#schedule();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over || this.#failure) return;
    if (!this.#stream) {
      this.#onErrorData(controller, chunk);
      return;
    }
    try {
      this.#stream.push(chunk);
    } catch (error) {
      this.#failure = asMeshError(error);
      controller.abort(this.#failure);
    }
    this.#schedule();
  }

  #onErrorData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#errorBytes += chunk.length;
    this.#errorBody.push(Buffer.from(chunk));
    if (this.#errorBytes <= ERROR_BODY_LIMIT_BYTES) return;
    // Enough to know what it is; the rest may be endless.
    this.#failure = this.#refusal();
    controller.abort(this.#failure);
    this.#schedule();
  }

  onResponseEnd(): void {
    this.#answered = true;
    try {
      if (this.#stream) this.#stream.close();
      else this.#failure = this.#refusal();
    } catch (error) {
      this.#failure ??= asMeshError(error);
    }
    this.#schedule();
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#answered = true;
    if (this.#over) return;
    this.#failure ??= this.#broken(error);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#over) return;
    this.#scheduled = true;
    nextTick(OpenAiExchange.#flush, this);
  }

  static #flush(exchange: OpenAiExchange): void {
    exchange.#deliver();
  }

  #deliver(): void {
    this.#scheduled = false;
    const stream = this.#stream;
    if (stream) {
      for (const event of stream.take()) {
        // The sink may have cancelled at the event before.
        if (this.#over) return;
        this.#sink.event(event);
      }
    }
    if (this.#over) return;
    if (stream?.complete) {
      this.#leave();
      if (stream.leftRunning) this.#controller?.abort(new Error('cut short'));
      else if (!this.#answered) this.#linger();
      this.#sink.end();
    } else if (this.#failure) {
      this.#leave();
      this.#sink.fail(errorWithoutKey(this.#failure, this.#apiKey));
    }
  }

  #cancel(error: MeshError): void {
    if (this.#over) return;
    this.#leave();
    // The socket first: the engine must stop even if the sink takes its time.
    if (!this.#answered) this.#controller?.abort(error);
    this.#sink.fail(error);
  }

  #leave(): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#call.signal.removeEventListener('abort', this.#onAbort);
  }

  /** The rest of a complete answer normally comes in the same read and the connection is kept for the next request. */
  #linger(): void {
    this.#controller?.resume();
    setTimeout(() => {
      if (!this.#answered) this.#controller?.abort(new Error('answer left open'));
    }, LINGER_MS).unref();
  }

  #refusal(): MeshError {
    const { engine, contentType, errorOf = errorOfResponse } = this.#form;
    if (this.#status === 200) return engineFailed(engine, new Error(`no ${contentType}`));
    const body = withoutKey(Buffer.concat(this.#errorBody).toString('utf8'), this.#apiKey);
    return errorOf(engine, { status: this.#status, retryAfter: this.#retryAfter, body });
  }

  #broken(error: Error): MeshError {
    const { engine } = this.#form;
    if (!this.#controller) return noHealthyEngine(engine, error);
    if (error instanceof errors.HTTPParserError) return engineFailed(engine, withoutBytes(error));
    return engineLost(engine, this.#stream?.completionTokens ?? 0, error);
  }
}

function deadlineExceeded(): MeshError {
  return new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout', { metadata: { limit: 'total' } });
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
