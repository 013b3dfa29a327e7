import type { OutgoingHttpHeaders } from 'node:http';
import type { GenerationEvent, Resumed, Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import { errorFrame } from '../http/errors.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { createSseStream, DONE_FRAME, type SseStream } from '../http/sse.ts';
import type { EventFrames } from './chat-chunk.ts';
import type { Exchange } from './exchange.ts';

/** How a route writes its event stream. */
export interface StreamForm {
  /** Makes the translation of one stream; given what the router told at the start, unset where it told nothing. */
  readonly framesOf: (started: Started | undefined) => EventFrames;
  /** What ends a stream that is complete. Unset: `[DONE]`. */
  readonly lastFrames?: () => string;
  /** What ends a stream that broke after its head had left. Unset: OpenAI's error object, and no `[DONE]`. */
  readonly errorFrames?: (error: MeshError) => string;
  /** Headers of its answers besides those of every one. */
  readonly headers?: OutgoingHttpHeaders;
}

/**
 * Answers an exchange with an event stream. Until the head has left a failure has its own status; after that it is an
 * event that says so.
 */
export function streamAnswer(exchange: Exchange, form: StreamForm, keepAliveMs: number): GenerationSink {
  return new StreamAnswer(exchange, form, keepAliveMs);
}

/** A class: what each token passes lies in one object. */
class StreamAnswer implements GenerationSink {
  readonly #exchange: Exchange;
  readonly #form: StreamForm;
  readonly #stream: SseStream;
  #frames: EventFrames | undefined;
  /** The engine's own time to the first token. */
  #engineSeconds: number | undefined;

  constructor(exchange: Exchange, form: StreamForm, keepAliveMs: number) {
    const { reply, call } = exchange;
    this.#exchange = exchange;
    this.#form = form;
    this.#stream = createSseStream(reply.raw, {
      keepAliveMs,
      flow: call.flow,
      head: () => {
        reply.hijack();
        return { ...headOf(exchange), ...exchange.overheadHeader(this.#engineSeconds), ...form.headers };
      },
      onSilentStart: (open) => void exchange.lookUpLimits().then(open),
    });
  }

  event(message: GenerationEvent): void {
    const { event } = message;
    const stream = this.#stream;
    if (event.case === 'started') {
      this.#exchange.started(event.value);
      this.#frames = this.#form.framesOf(event.value);
      return;
    }
    if (event.case === 'resumed') {
      stream.send(resumedComment(event.value));
      return;
    }
    if (event.case === 'delta' && !stream.isOpen()) this.#engineSeconds = event.value.engineSeconds;
    this.#frames ??= this.#form.framesOf(undefined);
    const text = this.#frames(message);
    if (text !== '') stream.send(text);
  }

  end(): void {
    const { lastFrames } = this.#form;
    if (this.#exchange.end()) this.#stream.finish(lastFrames ? lastFrames() : DONE_FRAME);
  }

  fail(error: MeshError): void {
    const exchange = this.#exchange;
    const stream = this.#stream;
    const { errorFrames = errorFrame } = this.#form;
    if (!exchange.end()) return;
    if (!stream.isOpen()) {
      stream.stop();
      exchange.reply.send(error);
      return;
    }
    exchange.logFailure(error);
    if (exchange.clientGone) stream.stop();
    else stream.finish(errorFrames(error));
  }
}

/** No event of OpenAI's says it, and every reader of event streams skips a comment. */
function resumedComment({ attempt, fromToken }: Resumed): string {
  return `: resumed attempt=${attempt} from_token=${fromToken}\n\n`;
}

function headOf({ request, limits }: Exchange): OutgoingHttpHeaders {
  return { 'x-request-id': request.id, ...(limits && rateLimitHeaders(limits)) };
}
