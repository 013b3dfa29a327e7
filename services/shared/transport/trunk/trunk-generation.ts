import type { TrunkCommand, TrunkEvent } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { asMeshError } from '../../errors/connect-error.ts';
import type { MeshError } from '../../errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../generate.ts';
import { armDeadline } from './deadline.ts';
import { eventBytes } from './event-bytes.ts';
import { fromTrunkError } from './trunk-error.ts';
import { CREDIT_BYTES } from './trunk-limits.ts';

/** What one generation needs of its trunk. */
export interface Asking {
  /** Tells the other side. */
  readonly command: (command: TrunkCommand['command']) => void;
  /** Called once, when nothing of it is heard any more. */
  readonly onOver: () => void;
  /** What it means that the trunk broke in the middle of a stream. */
  readonly brokenOff: (cause: MeshError) => MeshError;
}

/** One generation on the side that asks: gives its events to the sink, and credit back while the reader takes them. */
export class TrunkGeneration {
  readonly #call: GenerationCall;
  readonly #sink: GenerationSink;
  readonly #asking: Asking;
  readonly #disarm: () => void;
  /** Taken of the credit and not given back. */
  #takenBytes = 0;
  #hasEvents = false;
  #isOver = false;

  /** Of a call that is not aborted. */
  constructor(call: GenerationCall, sink: GenerationSink, asking: Asking) {
    this.#call = call;
    this.#sink = sink;
    this.#asking = asking;
    call.flow.connect((paused) => {
      if (!paused) this.#giveCredit();
    });
    call.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#disarm = armDeadline(call.timeoutMs, (error) => this.#leave(error));
  }

  /** What the other side told. */
  take(news: TrunkEvent['news']): void {
    switch (news.case) {
      case 'event':
        this.#hasEvents = true;
        this.#takenBytes += eventBytes(news.value);
        this.#sink.event(news.value);
        this.#giveCredit();
        break;
      case 'end':
        if (this.#finish()) this.#sink.end();
        break;
      case 'error':
        this.#fail(fromTrunkError(news.value));
        break;
    }
  }

  /** The trunk is over. Before the first event the peer merely did not answer. */
  lose(error: MeshError): void {
    const isBroken = error.reason === 'PEER_UNAVAILABLE' && this.#hasEvents;
    this.#fail(isBroken ? this.#asking.brokenOff(error) : error);
  }

  readonly #onAbort = (): void => this.#leave(asMeshError(this.#call.signal.reason));

  #leave(error: MeshError): void {
    if (this.#isOver) return;
    this.#asking.command({ case: 'cancel', value: { $typeName: 'mesh.generation.v1.TrunkCancel' } });
    this.#fail(error);
  }

  /** In large pieces, and none while the reader is paused. */
  #giveCredit(): void {
    if (this.#isOver || this.#call.flow.paused || this.#takenBytes < CREDIT_BYTES / 2) return;
    const bytes = this.#takenBytes;
    this.#takenBytes = 0;
    this.#asking.command({ case: 'credit', value: { $typeName: 'mesh.generation.v1.TrunkCredit', bytes } });
  }

  #fail(error: MeshError): void {
    if (this.#finish()) this.#sink.fail(error);
  }

  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#disarm();
    this.#call.signal.removeEventListener('abort', this.#onAbort);
    this.#asking.onOver();
    return true;
  }
}
