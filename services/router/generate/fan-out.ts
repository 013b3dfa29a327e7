import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Delta, GenerationEvent, Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import type { Place, Wanting } from '../queue/places.ts';
import { contextTokensOf } from '../select/verdict.ts';
import { choiceOf, choicesOf, choicesPerPrompt } from './choices.ts';
import { EngineCall } from './engine-call.ts';
import { promptBound } from './prompt-bound.ts';
import { Relay, type RelayParts } from './relay.ts';

/** How many choices of one request stand in line at a time: one request must not fill it. */
const MOST_IN_LINE = 8;

/** Several requests of one choice each as one generation: one start, the choices beside each other, one bill. */
export class FanOut {
  readonly #parts: RelayParts;
  readonly #place: Place;
  readonly #principal: Wanting['principal'];
  readonly #choices: number;
  readonly #perPrompt: number;
  /** By choice. */
  readonly #relays = new Map<number, Relay>();
  readonly #flows: FlowControl[] = [];
  /** Tokens of each choice so far. */
  readonly #tokens: number[] = [];
  #completionTokens = 0;
  /** Length of each prompt, as far as engines told. */
  readonly #prompts: number[] = [];
  /** What the first of its choices to end was billed for each prompt. */
  readonly #bills: Usage[] = [];
  #reasoningTokens = 0;
  #billedTokens = 0;
  /** How many choices have not ended. */
  #left: number;
  /** Ends the others when one breaks. */
  readonly #abort = new AbortController();
  /** The first choice that does not stand in line yet. */
  #next = 1;
  /** How many choices have no place yet. */
  #waiting = 0;
  #hasStarted = false;
  #isOver = false;

  /** `principal` is in whose turn the choices after the first get their places. */
  constructor(parts: RelayParts, place: Place, principal: Wanting['principal']) {
    const { call, request } = parts;
    this.#parts = parts;
    this.#place = place;
    this.#principal = principal;
    this.#choices = choicesOf(request);
    this.#perPrompt = choicesPerPrompt(request);
    this.#left = this.#choices;
    const { signal } = call;
    signal.addEventListener('abort', () => this.#abort.abort(signal.reason), { once: true });
    call.flow.connect((paused) => {
      for (const flow of this.#flows)
        if (paused) flow.pause();
        else flow.resume();
    });
  }

  /** The name of the engine that has the first choice. */
  get engine(): string {
    return this.#relays.get(0)?.engine ?? this.#place.candidate.engine.name;
  }

  /** The node of that engine. */
  get node(): string {
    return this.#relays.get(0)?.node ?? this.#place.candidate.node;
  }

  /** How long the first choice waited for places, in milliseconds. */
  get waitedMs(): number {
    return this.#relays.get(0)?.waitedMs ?? 0;
  }

  /** What the prompts count as when it ends now: those of which something was delivered, by their bound unless an engine told. */
  get promptTokens(): number {
    let tokens = 0;
    for (let prompt = 0; prompt * this.#perPrompt < this.#choices; prompt += 1) tokens += this.#promptTokens(prompt);
    return tokens;
  }

  #promptTokens(prompt: number): number {
    const first = prompt * this.#perPrompt;
    const isUsed = this.#tokens.slice(first, first + this.#perPrompt).some((tokens) => tokens > 0);
    return this.#prompts[prompt] ?? (isUsed ? this.#boundOf(choiceOf(this.#parts.request, first)) : 0);
  }

  /** Sends the first request to the engine that was booked, and the others where there is a place. */
  start(): void {
    this.#waiting = this.#choices - 1;
    this.#begin(0, this.#place);
    for (let line = 0; line < Math.min(MOST_IN_LINE, this.#choices - 1); line += 1) void this.#findPlaces();
  }

  /** No choice went on for too long: all their engines are given up. Returns whether one had a choice, or one waits its turn. */
  stalled(error: MeshError): boolean {
    const isWaiting = this.#waiting > 0;
    return [...this.#relays.values()].map((relay) => relay.stalled(error)).includes(true) || isWaiting;
  }

  /** Waits for places of choices, one after the other. */
  async #findPlaces(): Promise<void> {
    const { engines, request } = this.#parts;
    const { signal } = this.#abort;
    while (this.#next < this.#choices && !signal.aborted) {
      const choice = this.#next;
      this.#next += 1;
      const own = choiceOf(request, choice);
      try {
        const place = await engines.booking.oneMore(own, this.#place, this.#principal, signal);
        this.#waiting -= 1;
        if (signal.aborted) place.leave();
        else this.#begin(choice, place);
      } catch (error) {
        this.#fail(asMeshError(error));
      }
    }
  }

  #begin(choice: number, place: Place): void {
    const { call, request: all } = this.#parts;
    const flow = new FlowControl();
    this.#flows.push(flow);
    if (call.flow.paused) flow.pause();
    const { signal } = this.#abort;
    const own = new EngineCall({
      requestId: call.requestId,
      trace: call.trace,
      flow,
      signal,
      leftMs: () => call.timeoutMs,
    });
    const alone = choiceOf(all, choice);
    const promptTokens = this.#boundOf(alone);
    const contextTokens = contextTokensOf({ promptTokens, sampling: alone.sampling }, place.candidate.engine);
    const request = { ...alone, contextTokens };
    const parts = { ...this.#parts, request, sink: this.#sinkOf(choice), call: own, promptTokens };
    const relay = new Relay(parts, place);
    this.#relays.set(choice, relay);
    relay.start();
  }

  /** All prompts together have no more than was reserved for them. */
  #boundOf(alone: GenerateRequest): number {
    return Math.min(promptBound(alone), this.#parts.promptTokens);
  }

  #sinkOf(choice: number): GenerationSink {
    return {
      event: (message) => this.#event(choice, message),
      end: () => this.#end(choice),
      fail: (error) => this.#fail(error),
    };
  }

  #event(choice: number, message: GenerationEvent): void {
    const { sink } = this.#parts;
    const { event } = message;
    switch (event.case) {
      case 'started':
        if (!this.#hasStarted) sink.event(message);
        this.#hasStarted = true;
        return;
      case 'delta':
        sink.event(told({ case: 'delta', value: this.#counted(choice, event.value) }));
        return;
      case 'finished':
        sink.event(told({ case: 'finished', value: { ...event.value, choice } }));
        return;
      case 'usage':
        this.#bill(choice, event.value);
        return;
      default:
        sink.event(message);
    }
  }

  #counted(choice: number, delta: Delta): Delta {
    this.#completionTokens += delta.completionTokens - (this.#tokens[choice] ?? 0);
    this.#tokens[choice] = delta.completionTokens;
    const prompt = this.#promptOf(choice);
    if (delta.promptTokens > 0) this.#prompts[prompt] ??= delta.promptTokens;
    return { ...delta, choice, completionTokens: this.#completionTokens, promptTokens: this.#allPrompts() };
  }

  /** 0: not all are known. */
  #allPrompts(): number {
    let tokens = 0;
    for (let prompt = 0; prompt * this.#perPrompt < this.#choices; prompt += 1) {
      const told = this.#prompts[prompt];
      if (told === undefined) return 0;
      tokens += told;
    }
    return tokens;
  }

  #promptOf(choice: number): number {
    return Math.floor(choice / this.#perPrompt);
  }

  /** One prompt is billed once, however often it was computed. */
  #bill(choice: number, usage: Usage): void {
    const prompt = this.#promptOf(choice);
    this.#bills[prompt] ??= usage;
    this.#prompts[prompt] ??= usage.promptTokens;
    this.#billedTokens += usage.completionTokens;
    this.#reasoningTokens += usage.reasoningTokens;
    this.#left -= 1;
  }

  #end(choice: number): void {
    this.#relays.delete(choice);
    if (this.#left > 0) return;
    const { sink } = this.#parts;
    const value: Usage = {
      $typeName: 'mesh.generation.v1.Usage',
      promptTokens: sum(this.#bills.map(({ promptTokens }) => promptTokens)),
      cachedTokens: sum(this.#bills.map(({ cachedTokens }) => cachedTokens)),
      completionTokens: this.#billedTokens,
      reasoningTokens: this.#reasoningTokens,
    };
    sink.event(told({ case: 'usage', value }));
    sink.end();
  }

  #fail(error: MeshError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.sink.fail(error);
    this.#abort.abort(error);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function told(event: GenerationEvent['event']): GenerationEvent {
  return { $typeName: 'mesh.generation.v1.GenerationEvent', event };
}
