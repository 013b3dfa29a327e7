import { errorBody, problemOf } from '../http/errors.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { createSseStream } from '../http/sse.ts';
import type { Exchange } from '../openai/exchange.ts';

/** How the client of a load is answered. */
export interface LoadAnswer {
  /** It goes on. */
  progress(body: object): void;
  /** It is ready. Never rejects. */
  end(body: object): Promise<void>;
  fail(error: Error): void;
}

/** One JSON body when the model is ready. */
export function jsonLoadAnswer(exchange: Exchange): LoadAnswer {
  const { reply } = exchange;
  return {
    progress: () => undefined,
    async end(body) {
      await exchange.lookUpLimits();
      if (!exchange.end()) return;
      reply
        .headers(rateLimitHeaders(exchange.limits ?? []))
        .type(JSON_TYPE)
        .send(JSON.stringify(body));
    },
    fail(error) {
      if (exchange.end()) reply.send(error);
    },
  };
}

/**
 * An event per progress, the body of the JSON answer last. Until the head has left a failure has its own status; after that it
 * is the body of the error as the last event.
 */
export function streamLoadAnswer(exchange: Exchange, keepAliveMs: number): LoadAnswer {
  const { request, reply, call } = exchange;
  const stream = createSseStream(reply.raw, {
    keepAliveMs,
    flow: call.flow,
    head() {
      reply.hijack();
      return { 'x-request-id': request.id, ...rateLimitHeaders(exchange.limits ?? []) };
    },
    onSilentStart: (open) => void exchange.lookUpLimits().then(open),
  });
  /** What waits for the limits, which the head tells; of progress only the latest matters. */
  let waiting: string | undefined;

  async function sendSoon(frame: string): Promise<void> {
    const isFirst = waiting === undefined;
    waiting = frame;
    if (!isFirst) return;
    await exchange.lookUpLimits();
    const latest = waiting;
    waiting = undefined;
    stream.send(latest);
  }

  return {
    progress(body) {
      // A client that does not read gets what is newest when it does.
      if (!call.flow.paused) void sendSoon(frameOf(body));
    },
    async end(body) {
      await exchange.lookUpLimits();
      if (exchange.end()) stream.finish(frameOf(body));
    },
    fail(error) {
      if (!exchange.end()) return;
      if (!stream.isOpen()) {
        stream.stop();
        reply.send(error);
        return;
      }
      exchange.logFailure(error);
      if (exchange.clientGone) stream.stop();
      else stream.finish(`data: ${errorBody(problemOf(error), request.url)}\n\n`);
    },
  };
}

function frameOf(body: object): string {
  return `data: ${JSON.stringify(body)}\n\n`;
}
