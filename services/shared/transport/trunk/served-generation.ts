import { toBinary } from '@bufbuild/protobuf';
import { type GenerationEvent, GenerationEventSchema } from '../../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { TrunkEvent, TrunkStart } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import { FlowControl } from '../flow-control.ts';
import type { GenerationCall, GenerationSink } from '../generate.ts';
import type { ForWhom } from './call-headers.ts';
import { eventBytes } from './event-bytes.ts';
import { toTrunkError } from './trunk-error.ts';
import { LARGEST_BYTES } from './trunk-limits.ts';

/** What one generation needs of its trunk. */
export interface Answering {
  /** Tells the other side news; `bytes` is about what they take. */
  readonly tell: (news: TrunkEvent['news'], bytes: number) => void;
  /** Called once, when nothing more is told. */
  readonly onOver: () => void;
}

/** News without text take about this much. */
const SMALL_BYTES = 128;

/** One generation on the side that answers: its events go out while it has credit, and pause it at its engine without. */
export class ServedGeneration implements GenerationSink {
  /** How it is asked of whoever runs it. */
  readonly call: GenerationCall;
  readonly #answering: Answering;
  readonly #aborter = new AbortController();
  readonly #flow = new FlowControl();
  #creditBytes: number;
  #isOver = false;

  constructor(start: Pick<TrunkStart, 'requestId' | 'timeoutMs' | 'creditBytes'>, who: ForWhom, answering: Answering) {
    this.#answering = answering;
    this.#creditBytes = start.creditBytes;
    const timeoutMs = start.timeoutMs || undefined;
    this.call = { ...who, requestId: start.requestId, signal: this.#aborter.signal, timeoutMs, flow: this.#flow };
  }

  event(event: GenerationEvent): void {
    if (this.#isOver) return;
    const bytes = eventBytes(event);
    if (bytes > LARGEST_BYTES / 4 && toBinary(GenerationEventSchema, event).length > LARGEST_BYTES) {
      this.abort(new MeshError('MESSAGE_TOO_LARGE', 'An event of the answer is too large.'));
      return;
    }
    this.#creditBytes -= bytes;
    this.#answering.tell({ case: 'event', value: event }, bytes);
    if (this.#creditBytes <= 0) this.#flow.pause();
  }

  end(): void {
    this.#finish({ case: 'end', value: { $typeName: 'mesh.generation.v1.TrunkEnd' } });
  }

  fail(error: MeshError): void {
    this.#finish({ case: 'error', value: toTrunkError(error) });
  }

  /** The other side takes more. */
  addCredit(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#creditBytes > 0) this.#flow.resume();
  }

  /** Ends it down to its engine; the other side is told why. */
  abort(reason: MeshError): void {
    this.#aborter.abort(reason);
  }

  /** The other side wants nothing more of it and is told nothing more. */
  leave(reason: MeshError): void {
    this.#finish(undefined);
    this.abort(reason);
  }

  #finish(last: TrunkEvent['news'] | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (last) this.#answering.tell(last, SMALL_BYTES);
    this.#answering.onOver();
  }
}
