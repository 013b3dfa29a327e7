import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Generate, GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { Trial } from '../fleet/breaker.ts';
import type { Place } from '../queue/places.ts';
import { faultOf } from './engine-fault.ts';

/** What an attempt works with. */
export interface AttemptParts {
  readonly place: Place;
  /** What is learnt of the engine. */
  readonly trial: Trial;
  /** Where its events go. `fail` is told once the engine's place is free. */
  readonly sink: GenerationSink;
  /** The call towards the engine, but for its signal. */
  readonly call: Omit<GenerationCall, 'signal'>;
}

/** One try of a generation at one engine. It leaves its place once, whatever ends it; what the engine says later is dropped. */
export class Attempt implements GenerationSink {
  readonly place: Place;
  readonly #call: AttemptParts['call'];
  readonly #trial: Trial;
  readonly #sink: GenerationSink;
  readonly #abort = new AbortController();
  #hasStarted = false;
  #hasToken = false;
  #isOver = false;

  constructor({ place, trial, sink, call }: AttemptParts) {
    this.place = place;
    this.#call = call;
    this.#trial = trial;
    this.#sink = sink;
  }

  /** Sends the request. */
  start(generate: Generate, request: GenerateRequest): void {
    try {
      generate(
        { ...request, engine: this.place.candidate.engine.name },
        { ...this.#call, signal: this.#abort.signal },
        this,
      );
    } catch (error) {
      // The seam promises not to throw; one that does must not leave a generation that never ends.
      this.fail(asMeshError(error));
    }
  }

  event(event: GenerationEvent): void {
    if (this.#isOver) return;
    this.#hasStarted = true;
    if (!this.#hasToken && event.event.case === 'delta') {
      this.#hasToken = true;
      this.#trial.progressed();
    }
    this.#sink.event(event);
  }

  end(): void {
    if (this.#isOver) return;
    this.#trial.succeeded();
    this.#finish();
    this.#sink.end();
  }

  fail(error: MeshError): void {
    if (this.#isOver) return;
    // Whoever was cut off by us says nothing about the engine.
    if (!this.#abort.signal.aborted && faultOf(error) === 'broken') this.#trial.failed();
    this.#finish();
    this.#sink.fail(error);
  }

  /** The caller's side has ended: the engine answers with `fail` at once. */
  abort(reason: MeshError): void {
    this.#abort.abort(reason);
  }

  /** The engine hangs: it is given up, whatever it does. One that was still to come is not to blame: it may be loading. */
  giveUp(error: MeshError): void {
    if (!this.#hasStarted && this.place.candidate.standing !== 'ready') this.#trial.left();
    this.fail(error);
    this.#abort.abort(error);
  }

  #finish(): void {
    this.#isOver = true;
    this.#trial.left();
    this.place.leave();
  }
}
