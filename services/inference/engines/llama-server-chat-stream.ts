import type { GenerationEvent, Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { LlamaAsked } from './llama-server-stream.ts';
import { OpenAiStream } from './openai-stream.ts';

/** The bytes of llama-server's `/v1/chat/completions` → generation events, without alternatives that nobody asked for. */
export class LlamaServerChatStream extends OpenAiStream {
  readonly #topLogprobs: number;

  constructor(started: Started, choices: number, { topLogprobs }: LlamaAsked) {
    super(started, choices);
    this.#topLogprobs = topLogprobs ?? 0;
  }

  override take(): readonly GenerationEvent[] {
    const events = super.take();
    for (const { event } of events) {
      if (event.case !== 'delta') continue;
      for (const token of event.value.logprobs) token.top = token.top.slice(0, this.#topLogprobs);
    }
    return events;
  }
}
