import type { GenerationSink } from '../../shared/transport/generate.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { type Collector, createCollector } from './collector.ts';
import type { Exchange } from './exchange.ts';

/** Answers an exchange with one JSON body, put together from the same events as a stream. */
export function unaryAnswer(exchange: Exchange, bodyOf: (collected: Collector) => string): GenerationSink {
  const { reply } = exchange;
  const collector = createCollector();
  return {
    event: (event) => {
      if (event.event.case === 'started') exchange.started(event.event.value);
      else collector.add(event);
    },
    end: () => {
      if (!exchange.end()) return;
      reply
        .headers(rateLimitHeaders(exchange.limits ?? []))
        .type(JSON_TYPE)
        .send(bodyOf(collector));
    },
    fail: (error) => {
      if (exchange.end()) reply.send(error);
    },
  };
}
