import type { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationCall } from '../../shared/transport/generate.ts';

/** What a call towards engines is made of. */
export interface EngineCallParts extends Pick<GenerationCall, 'requestId' | 'trace' | 'signal'> {
  readonly flow: FlowControl;
  /** Time left now, in milliseconds. */
  readonly leftMs: () => number | undefined;
}

/**
 * A call towards engines: without the caller's credential, which no engine must see. A class, for V8 puts the getter of an object
 * literal among the old objects at once, where it keeps all that its generation consists of until the next full collection.
 */
export class EngineCall implements GenerationCall {
  readonly requestId: string;
  readonly trace: GenerationCall['trace'];
  readonly signal: AbortSignal;
  readonly flow: FlowControl;
  readonly #leftMs: () => number | undefined;

  constructor({ requestId, trace, signal, flow, leftMs }: EngineCallParts) {
    this.requestId = requestId;
    this.trace = trace;
    this.signal = signal;
    this.flow = flow;
    this.#leftMs = leftMs;
  }

  get timeoutMs(): number | undefined {
    return this.#leftMs();
  }
}
