import type { Delta, GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { AnswerDecoder } from './answer-decoder.ts';

/** A delta as it came. */
interface Told {
  readonly delta: Delta;
  /** How long the text of all tokens so far is, its own included. Unset: not known. */
  readonly end: number | undefined;
}

/**
 * The answer of an engine that tells tokens at once but their text so many characters later, in case a stop text follows:
 * each delta is put together anew of whole tokens, so that another engine can go on from the text with the count that belongs
 * to it. For one choice.
 */
export class HeldText implements AnswerDecoder {
  readonly #inner: AnswerDecoder;
  /** In code points, as engines in Python count. */
  readonly #heldCharacters: number;
  #told: Told[] = [];
  /** Text that came and was not passed on, by code points. */
  #text: string[] = [];
  #passedCharacters = 0;

  constructor(inner: AnswerDecoder, heldCharacters: number) {
    this.#inner = inner;
    this.#heldCharacters = heldCharacters;
  }

  get complete(): boolean {
    return this.#inner.complete;
  }

  get leftRunning(): boolean {
    return this.#inner.leftRunning ?? false;
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
    const ready: GenerationEvent[] = [];
    for (const message of this.#inner.take()) {
      const { event } = message;
      if (event.case === 'delta') this.#add(event.value);
      else {
        // At its end the engine holds nothing back.
        if (event.case === 'finished') this.#pass(ready, this.#told.length);
        ready.push(message);
      }
    }
    this.#pass(ready, this.#known());
    return ready;
  }

  #add(delta: Delta): void {
    for (const character of delta.text) this.#text.push(character);
    const shown = this.#passedCharacters + this.#text.length;
    // While nothing is shown all of it may be held back.
    this.#told.push({ delta, end: shown > 0 ? shown + this.#heldCharacters : undefined });
  }

  /** Of how many deltas the whole text is there. A token that adds none may be half a character: it waits for the other half. */
  #known(): number {
    const shown = this.#passedCharacters + this.#text.length;
    const last = this.#told.findLast(({ end }) => end !== undefined && end <= shown);
    return last ? this.#told.findIndex(({ end }) => end === last.end) + 1 : 0;
  }

  /** Passes so many deltas on as one. */
  #pass(ready: GenerationEvent[], count: number): void {
    const told = this.#told.splice(0, count);
    const last = told.at(-1);
    if (!last) return;
    const length = Math.min(this.#text.length, (last.end ?? Number.POSITIVE_INFINITY) - this.#passedCharacters);
    this.#passedCharacters += length;
    const value: Delta = {
      ...last.delta,
      text: this.#text.splice(0, length).join(''),
      tokenIds: told.flatMap(({ delta }) => delta.tokenIds),
      logprobs: told.flatMap(({ delta }) => delta.logprobs),
    };
    ready.push({ $typeName: 'mesh.generation.v1.GenerationEvent', event: { case: 'delta', value } });
  }
}
