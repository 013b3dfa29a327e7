import type { Delta, GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/** Stands for nothing ready; never added to. */
const NONE: GenerationEvent[] = [];

/**
 * Gathers the tokens of one generation that became ready together: one delta per choice. Nothing waits here longer than
 * the turn in which it came; whoever adds also takes.
 *
 * Messages are plain objects: `create` would cost more than the token itself, and the encoder does not care.
 */
export class TokenGroups {
  /** By choice. */
  readonly #open: (Delta | undefined)[] = [];
  #ready: GenerationEvent[] = NONE;
  /** Tokens of all choices so far. */
  completionTokens = 0;
  /** Length of the prompt. 0: not yet known. */
  promptTokens = 0;

  /** The delta of a choice that is being gathered; append to it. */
  open(choice: number): Delta {
    const open = this.#open[choice];
    if (open) return open;
    const delta: Delta = {
      $typeName: 'mesh.generation.v1.Delta',
      choice,
      text: '',
      reasoning: '',
      toolCalls: [],
      tokenIds: [],
      logprobs: [],
      completionTokens: 0,
      promptTokens: 0,
    };
    this.#open[choice] = delta;
    this.push({ case: 'delta', value: delta });
    return delta;
  }

  /** Puts an event behind what has been gathered so far. */
  push(event: GenerationEvent['event']): void {
    const message: GenerationEvent = { $typeName: 'mesh.generation.v1.GenerationEvent', event };
    // Mostly it is alone: a literal holds one, where the first push onto an empty array makes room for seventeen.
    if (this.#ready.length === 0) this.#ready = [message];
    else this.#ready.push(message);
  }

  /** What is ready, in order; the next tokens open new deltas. */
  take(): readonly GenerationEvent[] {
    const ready = this.#ready;
    if (ready.length === 0) return ready;
    for (let choice = 0; choice < this.#open.length; choice++) {
      const delta = this.#open[choice];
      if (!delta) continue;
      delta.completionTokens = this.completionTokens;
      delta.promptTokens = this.promptTokens;
      this.#open[choice] = undefined;
    }
    this.#ready = NONE;
    return ready;
  }
}
