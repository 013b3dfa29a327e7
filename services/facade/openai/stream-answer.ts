import type { OutgoingHttpHeaders } from 'node:http';
import type { Resumed, Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import { errorFrame } from '../http/errors.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { createSseStream, DONE_FRAME } from '../http/sse.ts';
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
export function streamAnswer(
  exchange: Exchange,
  { framesOf, lastFrames = () => DONE_FRAME, errorFrames = errorFrame, headers }: StreamForm,
  keepAliveMs: number,
): GenerationSink {
  const { reply, call } = exchange;
  let frames: EventFrames | undefined;
  /** The engine's own time to the first token. */
  let engineSeconds: number | undefined;
  const stream = createSseStream(reply.raw, {
    keepAliveMs,
    flow: call.flow,
    head: () => {
      reply.hijack();
      return { ...headOf(exchange), ...exchange.overheadHeader(engineSeconds), ...headers };
    },
    onSilentStart: (open) => void exchange.lookUpLimits().then(open),
  });
  return {
    event: (event) => {
      if (event.event.case === 'started') {
        exchange.started(event.event.value);
        frames = framesOf(event.event.value);
        return;
      }
      if (event.event.case === 'resumed') {
        stream.send(resumedComment(event.event.value));
        return;
      }
      if (!stream.isOpen() && event.event.case === 'delta') engineSeconds = event.event.value.engineSeconds;
      frames ??= framesOf(undefined);
      const text = frames(event);
      if (text !== '') stream.send(text);
    },
    end: () => {
      if (exchange.end()) stream.finish(lastFrames());
    },
    fail: (error: MeshError) => {
      if (!exchange.end()) return;
      if (!stream.isOpen()) {
        stream.stop();
        reply.send(error);
        return;
      }
      exchange.logFailure(error);
      if (exchange.clientGone) stream.stop();
      else stream.finish(errorFrames(error));
    },
  };
}

/** No event of OpenAI's says it, and every reader of event streams skips a comment. */
function resumedComment({ attempt, fromToken }: Resumed): string {
  return `: resumed attempt=${attempt} from_token=${fromToken}\n\n`;
}

function headOf({ request, limits }: Exchange): OutgoingHttpHeaders {
  return { 'x-request-id': request.id, ...(limits && rateLimitHeaders(limits)) };
}
