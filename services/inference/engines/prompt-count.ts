import type { GenerationEvent, Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';

/** How long counting may take, in milliseconds: everything else of the answer is there. */
const COUNT_TIMEOUT_MS = 5_000;

/**
 * Fills in the length of the prompt where the engine was cut off before it told: the bill waits until it is counted. An
 * engine that cannot count then leaves it 0.
 */
export class PromptCount implements GenerationSink {
  readonly #sink: GenerationSink;
  readonly #signal: AbortSignal;
  readonly #count: (signal: AbortSignal) => Promise<number>;
  #usage: Usage | undefined;

  constructor(sink: GenerationSink, signal: AbortSignal, count: (signal: AbortSignal) => Promise<number>) {
    this.#sink = sink;
    this.#signal = signal;
    this.#count = count;
  }

  event(message: GenerationEvent): void {
    const { event } = message;
    if (event.case === 'usage' && event.value.promptTokens === 0) this.#usage = event.value;
    else this.#sink.event(message);
  }

  end(): void {
    const usage = this.#usage;
    if (usage) void this.#bill(usage);
    else this.#sink.end();
  }

  fail(error: MeshError): void {
    this.#sink.fail(error);
  }

  async #bill(usage: Usage): Promise<void> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(COUNT_TIMEOUT_MS)]);
    const promptTokens = await this.#count(signal).catch(() => 0);
    if (this.#signal.aborted) {
      this.#sink.fail(asMeshError(this.#signal.reason));
      return;
    }
    this.#sink.event({
      $typeName: 'mesh.generation.v1.GenerationEvent',
      event: { case: 'usage', value: { ...usage, promptTokens } },
    });
    this.#sink.end();
  }
}
