import type { Delta, Finished, GenerationEvent, Usage } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../services/shared/errors/mesh-error.ts';
import { FlowControl } from '../../services/shared/transport/flow-control.ts';
import type { GenerationCall, GenerationSink } from '../../services/shared/transport/generate.ts';

/** A sink that keeps everything and checks the seam's contract: nothing after the end. */
export class RecordingSink implements GenerationSink {
  readonly events: GenerationEvent[] = [];
  /** "end", or the error of `fail`. Unset: running. */
  outcome: 'end' | MeshError | undefined;
  /** Resolves with the outcome. */
  readonly over: Promise<'end' | MeshError>;
  /** Called with each event. */
  onEvent: ((event: GenerationEvent) => void) | undefined;
  #resolve: (outcome: 'end' | MeshError) => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  event(event: GenerationEvent): void {
    if (this.outcome !== undefined) throw new Error('event after the end');
    this.events.push(event);
    this.onEvent?.(event);
  }

  end(): void {
    this.#finish('end');
  }

  fail(error: MeshError): void {
    this.#finish(error);
  }

  /** The kinds of the events in order. */
  get kinds(): string[] {
    return this.events.map(({ event }) => event.case ?? 'none');
  }

  get deltas(): Delta[] {
    return this.events.flatMap(({ event }) => (event.case === 'delta' ? [event.value] : []));
  }

  get finished(): Finished[] {
    return this.events.flatMap(({ event }) => (event.case === 'finished' ? [event.value] : []));
  }

  get usage(): Usage | undefined {
    return this.events.flatMap(({ event }) => (event.case === 'usage' ? [event.value] : []))[0];
  }

  /** The text of one choice. */
  text(choice = 0): string {
    return this.deltas.map((delta) => (delta.choice === choice ? delta.text : '')).join('');
  }

  #finish(outcome: 'end' | MeshError): void {
    if (this.outcome !== undefined) throw new Error('a second end');
    this.outcome = outcome;
    this.#resolve(outcome);
  }
}

/** A call with its own abort and flow. */
export function recordingCall(timeoutMs?: number): GenerationCall & { abort: AbortController } {
  const abort = new AbortController();
  return { requestId: 'req_test', signal: abort.signal, flow: new FlowControl(), abort, timeoutMs };
}
