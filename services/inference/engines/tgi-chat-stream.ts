import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type Started,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { engineFailed } from './openai-errors.ts';
import { OpenAiStream } from './openai-stream.ts';
import { errorOfTgiEvent } from './tgi-errors.ts';

/** The bytes of TGI's `/v1/chat/completions` → generation events: OpenAI's stream with two peculiarities about tool calls. */
export class TgiChatStream implements AnswerDecoder {
  readonly #inner: OpenAiStream;
  /** The calls whose first fragment has come. */
  readonly #called = new Set<number>();

  constructor(started: Started) {
    this.#inner = new OpenAiStream(started, 1, {
      toldError: (engine, error) =>
        errorOfTgiEvent(engine, { error }) ?? engineFailed(engine, new Error('an empty error')),
    });
  }

  get complete(): boolean {
    return this.#inner.complete;
  }

  get completionTokens(): number {
    return this.#inner.completionTokens;
  }

  push(chunk: Buffer): void {
    this.#inner.push(chunk);
  }

  close(): void {
    this.#inner.close();
  }

  take(): readonly GenerationEvent[] {
    const events = this.#inner.take();
    for (const { event } of events) {
      if (event.case === 'delta') this.#nameOnce(event.value);
      // It says "stop" after a call too.
      if (event.case === 'finished' && this.#called.size > 0 && event.value.reason === FinishReason.STOP) {
        event.value.reason = FinishReason.TOOL_CALLS;
      }
    }
    return events;
  }

  /** Every fragment has the id; clients that join fragments would join the ids too. */
  #nameOnce(delta: Delta): void {
    for (const call of delta.toolCalls) {
      if (this.#called.has(call.index)) {
        delete call.id;
        delete call.name;
      }
      this.#called.add(call.index);
    }
  }
}
