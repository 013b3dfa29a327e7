import type { GenerationSink } from '../../shared/transport/generate.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { type Collector, createCollector } from './collector.ts';
import type { Exchange } from './exchange.ts';

/**
 * Answers an exchange with one JSON body, put together from the same events as a stream. `bodyOf` is given the model as the
 * answer names it.
 */
export function unaryAnswer(
  exchange: Exchange,
  bodyOf: (model: string, collected: Collector) => string,
): GenerationSink {
  const { reply } = exchange;
  const collector = createCollector();
  let model = '';
  return {
    event: (event) => {
      if (event.event.case === 'started') {
        model = event.event.value.model;
        exchange.started(event.event.value);
      } else collector.add(event);
    },
    end: () => {
      if (!exchange.end()) return;
      reply
        .headers(rateLimitHeaders(exchange.limits ?? []))
        .type(JSON_TYPE)
        .send(bodyOf(model, collector));
    },
    fail: (error) => {
      if (exchange.end()) reply.send(error);
    },
  };
}
