import type { GenerateRequest } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason, type GenerationEvent } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { GenerationCall, GenerationSink } from '../../services/shared/transport/generate.ts';

const PROMPT_TOKENS = 40;

/** An engine that costs next to nothing: each stream makes one token per period, in its own phase. */
export class PacedEngine {
  readonly #tokens: number;
  readonly #periodMs: number;
  readonly #running = new Map<GenerationSink, { nextMs: number; made: number }>();
  #timer: NodeJS.Timeout | undefined;

  /** A period of 0: all tokens come at once. */
  constructor(tokens: number, periodMs: number) {
    this.#tokens = tokens;
    this.#periodMs = periodMs;
  }

  readonly generate = (_request: GenerateRequest, _call: GenerationCall, sink: GenerationSink): void => {
    sink.event(started());
    if (this.#periodMs === 0) {
      for (let made = 1; made <= this.#tokens; made += 1) sink.event(delta(made));
      finish(sink, this.#tokens);
      return;
    }
    this.#running.set(sink, { nextMs: performance.now() + Math.random() * this.#periodMs, made: 0 });
    this.#timer ??= setInterval(() => this.#step(), 1);
  };

  #step(): void {
    const nowMs = performance.now();
    for (const [sink, stream] of this.#running) {
      if (stream.nextMs > nowMs) continue;
      stream.nextMs += this.#periodMs;
      stream.made += 1;
      sink.event(delta(stream.made));
      if (stream.made < this.#tokens) continue;
      this.#running.delete(sink);
      finish(sink, stream.made);
    }
    if (this.#running.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function finish(sink: GenerationSink, completionTokens: number): void {
  const counts = { promptTokens: PROMPT_TOKENS, completionTokens, cachedTokens: 0, reasoningTokens: 0 };
  const reason = FinishReason.LENGTH;
  sink.event(told({ case: 'finished', value: { $typeName: 'mesh.generation.v1.Finished', choice: 0, reason } }));
  sink.event(told({ case: 'usage', value: { $typeName: 'mesh.generation.v1.Usage', ...counts } }));
  sink.end();
}

function started(): GenerationEvent {
  const names = { requestId: '', model: '', modelId: 'm', engine: 'e', limits: [] };
  return told({ case: 'started', value: { $typeName: 'mesh.generation.v1.Started', ...names } });
}

function delta(completionTokens: number): GenerationEvent {
  const empty = { choice: 0, reasoning: '', toolCalls: [], tokenIds: [], logprobs: [] };
  const counts = { completionTokens, promptTokens: PROMPT_TOKENS };
  const value = { $typeName: 'mesh.generation.v1.Delta' as const, ...empty, ...counts, text: ' token' };
  return told({ case: 'delta', value });
}

function told(event: GenerationEvent['event']): GenerationEvent {
  return { $typeName: 'mesh.generation.v1.GenerationEvent', event };
}
