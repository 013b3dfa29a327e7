import { FinishReason, type GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import type { DrawDown } from './draw-down.ts';
import type { GatedFlow } from './gated-flow.ts';
import { firstTokens } from './split-delta.ts';

/** What a CoveredSink stands between. */
export interface Covering {
  /** Where events go that are covered. It counts what it gets in `drawDown`. */
  readonly sink: GenerationSink;
  readonly drawDown: DrawDown;
  readonly flow: GatedFlow;
  /** How many completions are made. */
  readonly choices: number;
  /** What the prompt counts as when the generation ends now. */
  readonly promptTokens: () => number;
  /** Asks for more tokens at once. */
  readonly urge: () => void;
  /** Ends the engine's side after the generation was ended here. */
  readonly stop: () => void;
}

/**
 * Passes on no more completion tokens than the lease covers. What comes beyond that is held back, its engine paused, until
 * more is covered; when no more can be had the generation ends at the bound with QUOTA_EXHAUSTED.
 */
export class CoveredSink implements GenerationSink {
  readonly #parts: Covering;
  readonly #sink: GenerationSink;
  readonly #drawDown: DrawDown;
  readonly #finished = new Set<number>();
  #held: GenerationEvent[] | undefined;
  #hasEnded = false;
  /** Ended here, not by the engine: what it still says is not kept. */
  #isOver = false;

  constructor(parts: Covering) {
    this.#parts = parts;
    this.#sink = parts.sink;
    this.#drawDown = parts.drawDown;
    parts.drawDown.whenAnswered((isFinal) => this.#goOn(isFinal));
  }

  event(event: GenerationEvent): void {
    if (this.#isOver) return;
    if (!this.#held && this.#isCovered(event)) this.#pass(event);
    else this.#hold(event);
  }

  end(): void {
    if (this.#held) this.#hasEnded = true;
    else this.#sink.end();
  }

  /** What is held back is dropped: it was not delivered and is not charged. */
  fail(error: MeshError): void {
    this.#held = undefined;
    this.#drawDown.goOn();
    this.#sink.fail(error);
  }

  /** The generation was aborted. An engine that is at its end tells nobody any more, while what it said last is held back. */
  abandon(error: MeshError): void {
    if (this.#held && this.#hasEnded) this.fail(error);
  }

  /** The bill always passes: what it counts beyond the deltas was delivered by them, and is charged as far as limits have room. */
  #isCovered({ event }: GenerationEvent): boolean {
    return event.case !== 'delta' || event.value.completionTokens <= this.#drawDown.coveredTokens;
  }

  #pass(event: GenerationEvent): void {
    if (event.event.case === 'finished') this.#finished.add(event.event.value.choice);
    this.#sink.event(event);
  }

  #hold(message: GenerationEvent): void {
    const drawDown = this.#drawDown;
    const { event } = message;
    const isCounted = event.case === 'delta' || event.case === 'usage';
    // What the prompt was reserved too much may be just what is missing.
    if (isCounted && event.value.promptTokens > 0) drawDown.promptTokens = event.value.promptTokens;
    if (this.#held) {
      this.#held.push(message);
      return;
    }
    this.#held = [message];
    this.#parts.flow.hold();
    this.#wait();
  }

  /** Waits for what the first held event needs, or ends where the request itself allows no more. */
  #wait(): void {
    const drawDown = this.#drawDown;
    if (!drawDown.mayGrow) {
      this.#exhaust(FinishReason.LENGTH);
      return;
    }
    drawDown.need(tokensOf(this.#held?.[0]), performance.now());
    this.#parts.urge();
  }

  #goOn(isFinal: boolean): void {
    const held = this.#held;
    if (!held) return;
    let passed = 0;
    for (let event = held[0]; event && this.#isCovered(event); event = held[passed]) {
      passed += 1;
      this.#pass(event);
      // The reader left at that event.
      if (this.#held !== held) return;
    }
    held.splice(0, passed);
    if (passed > 0) this.#drawDown.goOn();
    if (held.length === 0) this.#release();
    else if (isFinal && passed === 0 && this.#drawDown.mayGrow) this.#exhaust(FinishReason.QUOTA_EXHAUSTED);
    else this.#wait();
  }

  #release(): void {
    this.#held = undefined;
    this.#parts.flow.release();
    if (this.#hasEnded) this.#sink.end();
  }

  /** Delivers up to the bound, and ends. */
  #exhaust(reason: FinishReason): void {
    const { choices, promptTokens, stop } = this.#parts;
    const sink = this.#sink;
    const drawDown = this.#drawDown;
    const [event] = this.#held ?? [];
    this.#held = undefined;
    this.#isOver = true;
    drawDown.goOn();
    if (event?.event.case === 'delta') {
      const tokens = event.event.value.completionTokens - drawDown.completionTokens;
      const part = firstTokens(event.event.value, tokens, drawDown.coveredTokens - drawDown.completionTokens);
      if (part) sink.event(told({ case: 'delta', value: part }));
    }
    for (let choice = 0; choice < choices; choice += 1) {
      if (this.#finished.has(choice)) continue;
      sink.event(told({ case: 'finished', value: { $typeName: 'mesh.generation.v1.Finished', choice, reason } }));
    }
    const { completionTokens } = drawDown;
    const usage = { $typeName: 'mesh.generation.v1.Usage', cachedTokens: 0, reasoningTokens: 0 } as const;
    sink.event(told({ case: 'usage', value: { ...usage, promptTokens: promptTokens(), completionTokens } }));
    sink.end();
    stop();
  }
}

function tokensOf(message: GenerationEvent | undefined): number {
  const event = message?.event;
  return event?.case === 'delta' ? event.value.completionTokens : 0;
}

function told(event: GenerationEvent['event']): GenerationEvent {
  return { $typeName: 'mesh.generation.v1.GenerationEvent', event };
}
