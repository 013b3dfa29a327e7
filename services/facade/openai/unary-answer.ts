import type { Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { type Collector, createCollector } from './collector.ts';
import type { Exchange } from './exchange.ts';

/**
 * Answers an exchange with one JSON body, put together from the same events as a stream. `bodyOf` is given what the router told
 * at the start, unset where it told nothing.
 */
export function unaryAnswer(
  exchange: Exchange,
  bodyOf: (started: Started | undefined, collected: Collector) => string,
): GenerationSink {
  const { reply } = exchange;
  const collector = createCollector();
  let started: Started | undefined;
  return {
    event: (event) => {
      if (event.event.case === 'started') {
        started = event.event.value;
        exchange.started(started);
      } else collector.add(event);
    },
    end: () => {
      if (!exchange.end()) return;
      reply
        .headers({
          ...rateLimitHeaders(exchange.limits ?? []),
          ...exchange.overheadHeader(collector.usage()?.engineSeconds),
        })
        .type(JSON_TYPE)
        .send(bodyOf(started, collector));
    },
    fail: (error) => {
      if (exchange.end()) reply.send(error);
    },
  };
}
