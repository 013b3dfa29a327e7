import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Revocation } from '../../shared/interceptors/revocation.ts';
import { Roster } from '../../shared/lifecycle/roster.ts';
import type { Generate, GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { Registry } from '../fleet/registry.ts';
import { admit, fallbacksOf, refuseInternal } from './admission.ts';
import type { Booked, Booking } from './booking.ts';
import { type Caller, Callers } from './callers.ts';
import { refuseTooManyChoices } from './choices.ts';
import type { Deadlines } from './deadlines.ts';
import { DrawDown } from './draw-down.ts';
import { type GenerationObserver, GenerationRecord, operationOf, tellEnded } from './generation-record.ts';
import { PendingRequest } from './pending-request.ts';
import type { EngineSide } from './relay.ts';
import type { Reports } from './reports.ts';
import { type Dispatch, RunningGeneration } from './running-generation.ts';

/**
 * Who makes a call: who presents its credential, or whom a process of the mesh vouches for, if that one still counts. Throws
 * MeshError CREDENTIAL_MISSING or CREDENTIAL_INVALID.
 */
export type AuthenticateCall = (
  call: Pick<GenerationCall, 'credential' | 'onBehalfOf' | 'clientIp'>,
) => Promise<Principal>;

/** What the front door works with. */
export interface PipelineParts {
  readonly authenticate: AuthenticateCall;
  readonly booking: Booking;
  readonly reports: Reports;
  readonly registry: Registry;
  readonly deadlines: Deadlines;
  readonly engines: EngineSide;
  /** Who is told of every generation when it is over. */
  readonly observers: readonly GenerationObserver[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The front door: authenticate → admit → choose an engine → reserve quota → wait for a place → stream → settle. */
export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #running = new Roster<RunningGeneration>();
  readonly #pending = new Roster<PendingRequest>();
  readonly #callers = new Callers();
  #draining = false;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** The seam that facade and RPC handlers call. */
  readonly generate: Generate = (request, call, sink) => {
    void this.#run(request, call, sink);
  };

  /** How many requests are with an engine now, or on their way to one. */
  get runningCount(): number {
    return this.#running.size + this.#pending.size;
  }

  /** Takes nothing new from now on. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends what still runs; what was delivered is charged. */
  abortAll(error: MeshError): void {
    for (const request of this.#pending) request.expire(error);
    for (const generation of this.#running) generation.expire(error);
  }

  /** Ends the generations that a revocation is about; what was delivered is charged. */
  cut(revocation: Revocation): void {
    this.#callers.cut(revocation);
  }

  async #run(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): Promise<void> {
    const { authenticate, booking, registry, reports, deadlines, observers, now } = this.#parts;
    const told = { modelAsked: request.model, createdAtMs: now() };
    const record = new GenerationRecord(operationOf(request), call, told);
    let booked: Booked | undefined;
    const caller = this.#callers.enter();
    const pending = new PendingRequest(call, record.enteredAtMs);
    const { signal } = pending;
    const unwatch = deadlines.watch(pending);
    let leavePending = (): void => {};
    caller.endWith((error) => pending.expire(error));
    try {
      if (this.#draining) throw new MeshError('SHUTTING_DOWN', 'The server is shutting down.', { retryAfterMs: 1_000 });
      leavePending = this.#pending.add(pending);
      const principal = await authenticate(call);
      record.principal = principal;
      caller.identify(principal);
      signal.throwIfAborted();
      refuseInternal(request);
      refuseTooManyChoices(request);
      const { snapshot } = registry;
      const route = admit(principal, request, snapshot);
      // Who names the engine means that one and no other model.
      const fallbacks = request.engine === '' ? fallbacksOf(principal, route, snapshot) : [];
      booked = await booking.book(request, [route, ...fallbacks], {
        requestId: call.requestId,
        principal,
        clientIp: call.clientIp ?? '',
        requestAlreadyCounted: call.onBehalfOf?.requestAlreadyCounted ?? false,
        signal,
        keep(lease) {
          const drawDown = new DrawDown(lease, performance.now());
          drawDown.whenLost((error) => pending.expire(error));
          return reports.add(drawDown);
        },
      });
      signal.throwIfAborted();
      this.#dispatch(booked, request, call, { principal, sink, caller, record });
    } catch (error) {
      booked?.leave();
      booked?.lease.release();
      caller.leave();
      const failure = asMeshError(error);
      sink.fail(failure);
      tellEnded(observers, record, failure);
    } finally {
      unwatch();
      pending.close();
      leavePending();
    }
  }

  #dispatch(
    booked: Booked,
    request: GenerateRequest,
    call: GenerationCall,
    { caller, ...rest }: Pick<Dispatch, 'principal' | 'sink' | 'record'> & { caller: Caller },
  ): void {
    const { reports, deadlines, engines, observers } = this.#parts;
    const generation: RunningGeneration = new RunningGeneration({
      ...rest,
      request,
      call,
      booked,
      engines,
      reports,
      leftMs: () => deadlines.leftMs(generation),
      onEnd: () => {
        unwatch();
        caller.leave();
        leave();
      },
      onTold: (error) => tellEnded(observers, rest.record, error),
    });
    const unwatch = deadlines.watch(generation);
    const leave = this.#running.add(generation);
    caller.endWith((error) => generation.expire(error));
    generation.start();
  }
}
