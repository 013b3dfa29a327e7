import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type Usage,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { findStop, heldFrom } from '../embedded/stop-strings.ts';
import type { AnswerDecoder } from './answer-decoder.ts';

/**
 * The answer of an engine that returns stop texts with the completion, cut before the first one. Whole deltas are held
 * back while their text may be the start of one. For one choice.
 */
export class StopCutter implements AnswerDecoder {
  readonly #inner: AnswerDecoder;
  readonly #stops: readonly string[];
  readonly #awaitsBill: boolean;
  /** Deltas whose text may be the start of a stop text. */
  #held: Delta[] = [];
  #ready: GenerationEvent[] = [];
  #stop: string | undefined;
  #promptTokens = 0;
  /** The engine has ended by itself: its bill follows. */
  #ended = false;
  #complete = false;

  /** `awaitsBill`: the engine ends by itself at a stop text, and its bill is waited for. Default: cut at once. */
  constructor(inner: AnswerDecoder, stops: readonly string[], awaitsBill = false) {
    this.#inner = inner;
    this.#stops = stops;
    this.#awaitsBill = awaitsBill;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** True when the engine goes on after the end: it found no stop text, because it looks only at the end of tokens. */
  get leftRunning(): boolean {
    return this.#complete && !this.#inner.complete;
  }

  get completionTokens(): number {
    return this.#inner.completionTokens;
  }

  push(chunk: Buffer): void {
    if (!this.#complete) this.#inner.push(chunk);
  }

  close(): void {
    if (!this.#complete) this.#inner.close();
  }

  take(): readonly GenerationEvent[] {
    if (this.#complete) return [];
    for (const event of this.#inner.take()) this.#onEvent(event);
    const bill = this.#awaitsBill || this.#ended;
    if (this.#stop !== undefined && !this.#complete && !bill) this.#end(undefined);
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #onEvent(message: GenerationEvent): void {
    const { event } = message;
    if (event.case === 'delta') {
      if (this.#stop === undefined) this.#onDelta(event.value);
      return;
    }
    // With a stop text the engine's own end is late or the same one; only its bill is of use.
    if (event.case === 'usage') this.#end(event.value);
    if (event.case === 'started' || event.case === 'resumed') this.#ready.push(message);
    if (event.case !== 'finished') return;
    this.#ended = true;
    if (this.#stop !== undefined) return;
    this.#release(this.#held.length);
    this.#ready.push(message);
  }

  #onDelta(delta: Delta): void {
    this.#promptTokens = Math.max(this.#promptTokens, delta.promptTokens);
    this.#held.push(delta);
    const text = this.#held.map((held) => held.text).join('');
    const match = findStop(text, this.#stops);
    if (match) {
      this.#stop = match.stop;
      let left = match.index;
      for (const held of this.#held) {
        held.text = held.text.slice(0, left);
        left -= held.text.length;
      }
      this.#release(this.#held.length);
      this.#finish(match.stop);
      return;
    }
    const limit = heldFrom(text, this.#stops);
    let length = 0;
    const free = this.#held.findIndex((held) => {
      length += held.text.length;
      return length > limit;
    });
    this.#release(free === -1 ? this.#held.length : free);
  }

  #release(count: number): void {
    for (const value of this.#held.slice(0, count)) this.#push({ case: 'delta', value });
    this.#held = this.#held.slice(count);
  }

  #finish(matchedStop: string): void {
    const reason = FinishReason.STOP;
    this.#push({
      case: 'finished',
      value: { $typeName: 'mesh.generation.v1.Finished', choice: 0, reason, matchedStop },
    });
  }

  #end(usage: Usage | undefined): void {
    this.#complete = true;
    const value = usage ?? {
      $typeName: 'mesh.generation.v1.Usage' as const,
      promptTokens: this.#promptTokens,
      completionTokens: this.completionTokens,
      cachedTokens: 0,
      reasoningTokens: 0,
    };
    this.#push({ case: 'usage', value });
  }

  #push(event: GenerationEvent['event']): void {
    this.#ready.push({ $typeName: 'mesh.generation.v1.GenerationEvent', event });
  }
}
