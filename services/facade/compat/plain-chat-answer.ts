import type { Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { DONE_FRAME } from '../http/sse.ts';
import { type Collector, createCollector } from '../openai/collector.ts';
import type { StreamForm } from '../openai/stream-answer.ts';

/** A collected generation → the body of `POST /chat`; `nowMs` is when it ended, in milliseconds since the epoch. */
export function plainChatAnswer(started: Started | undefined, collected: Collector, nowMs: number): string {
  const [first] = collected.choices();
  return JSON.stringify({
    response: first?.[1].text ?? '',
    timestamp: timestampOf(nowMs),
    model: started?.modelId.split('/').at(-1) ?? '',
  });
}

/** ISO 8601 with microseconds, as Python writes it; the last three digits are not known. */
function timestampOf(nowMs: number): string {
  return new Date(nowMs).toISOString().replace('Z', '000+00:00');
}

/** The event stream of one answer: the texts as they come, at the end the body of the JSON answer and `[DONE]`. */
export function plainChatStream(now: () => number): Required<Pick<StreamForm, 'framesOf' | 'lastFrames'>> {
  const collector = createCollector();
  let head: Started | undefined;
  return {
    framesOf(started) {
      head = started;
      return (event) => {
        collector.add(event);
        const text = event.event.case === 'delta' ? event.event.value.text : '';
        return text === '' ? '' : `data: ${JSON.stringify({ delta: text })}\n\n`;
      };
    },
    lastFrames: () => `data: ${plainChatAnswer(head, collector, now())}\n\n${DONE_FRAME}`,
  };
}
