import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type Usage,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import { Transcript } from './transcript.ts';

/** What the pieces of a stream are joined for. */
export interface SpliceParts {
  /** Where the one stream goes. */
  readonly sink: Pick<GenerationSink, 'event'>;
  /** Whether what was delivered is kept, so that another engine can go on from it. */
  readonly keeps: boolean;
  /** Whether the caller asked for the ids of tokens; else they are for us alone. */
  readonly tellsIds: boolean;
}

/** Joins what several engines tell of one answer: one start, counts that go on, one bill. */
export class Splice {
  /** What was delivered. Unset: it is not kept. */
  readonly transcript: Transcript | undefined;
  /** Whether something was delivered that a new answer would repeat. */
  hasDelivered = false;
  readonly #sink: Pick<GenerationSink, 'event'>;
  readonly #keeps: boolean;
  readonly #tellsIds: boolean;
  #hasStarted = false;
  /** Set while an engine other than the first has the generation. */
  #takeover: { readonly attempt: number; readonly engine: string } | undefined;
  /** How many tokens were delivered before the present engine. */
  #before = 0;
  #toldTokens = 0;

  constructor({ sink, keeps, tellsIds }: SpliceParts) {
    this.#sink = sink;
    this.#keeps = keeps;
    this.#tellsIds = tellsIds;
    this.transcript = keeps ? new Transcript() : undefined;
  }

  /** What comes next is of another engine, which goes on after `before` tokens. */
  takeover(attempt: number, engine: string, before: number): void {
    this.#takeover = { attempt, engine };
    this.#before = before;
    if (before === 0) this.transcript?.restart();
  }

  /** The next event of the present engine. */
  event(message: GenerationEvent): void {
    const { event } = message;
    switch (event.case) {
      case 'started':
        this.#sink.event(this.#hasStarted && this.#takeover ? this.#resumed(this.#takeover) : message);
        this.#hasStarted = true;
        return;
      case 'delta':
        this.#delta(message, event.value);
        return;
      case 'finished':
        if (this.transcript) this.transcript.isFinished = true;
        break;
      case 'usage':
        if (!this.#takeover) break;
        this.#sink.event(told({ case: 'usage', value: this.#whole(event.value) }));
        return;
      default:
    }
    this.#sink.event(message);
  }

  /**
   * The engine broke off when all had been delivered: says the rest in its place.
   *
   * @param promptTokens of the bill, if no engine told them
   */
  complete(promptTokens: number): void {
    const { isFinished = false, completionTokens = 0, promptTokens: prompt = promptTokens } = this.transcript ?? {};
    const reason = FinishReason.LENGTH;
    if (!isFinished) {
      this.#sink.event(
        told({ case: 'finished', value: { $typeName: 'mesh.generation.v1.Finished', choice: 0, reason } }),
      );
    }
    const counts = { promptTokens: prompt, completionTokens, cachedTokens: 0, reasoningTokens: 0 };
    this.#sink.event(told({ case: 'usage', value: { $typeName: 'mesh.generation.v1.Usage', ...counts } }));
  }

  #delta(message: GenerationEvent, delta: Delta): void {
    const { transcript } = this;
    const tellsIds = this.#tellsIds;
    const isOwnIds = this.#keeps && !tellsIds && delta.tokenIds.length > 0;
    const isShown =
      delta.text !== '' || delta.reasoning !== '' || delta.toolCalls.length > 0 || delta.logprobs.length > 0;
    if (isShown || (tellsIds && delta.tokenIds.length > 0)) this.hasDelivered = true;
    const whole = this.#takeover ? this.#counted(delta) : delta;
    this.#toldTokens = whole.completionTokens;
    transcript?.add(whole);
    if (isOwnIds) this.#sink.event(told({ case: 'delta', value: { ...whole, tokenIds: [] } }));
    else this.#sink.event(whole === delta ? message : told({ case: 'delta', value: whole }));
  }

  /** Counted on from what was delivered before. What an engine held back when it broke off was counted, and is made again. */
  #counted(delta: Delta): Delta {
    const completionTokens = Math.max(this.#toldTokens, this.#before + delta.completionTokens);
    return { ...delta, completionTokens, promptTokens: this.#prompt(delta.promptTokens) };
  }

  /** The bill of the whole: the times are only those of the last engine, so none is told. */
  #whole({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: Usage): Usage {
    const prompt = this.#prompt(promptTokens);
    return {
      $typeName: 'mesh.generation.v1.Usage',
      promptTokens: prompt,
      completionTokens: this.#before + completionTokens,
      cachedTokens: Math.min(cachedTokens, prompt),
      reasoningTokens,
    };
  }

  /** For the present engine what was delivered before is a part of the prompt. */
  #prompt(promptTokens: number): number {
    return this.transcript?.promptTokens ?? Math.max(0, promptTokens - this.#before);
  }

  #resumed({ attempt, engine }: { attempt: number; engine: string }): GenerationEvent {
    const value = { $typeName: 'mesh.generation.v1.Resumed', attempt, fromToken: this.#before, engine } as const;
    return told({ case: 'resumed', value });
  }
}

function told(event: GenerationEvent['event']): GenerationEvent {
  return { $typeName: 'mesh.generation.v1.GenerationEvent', event };
}
