import { randomUUID } from 'node:crypto';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Revocation } from '../../shared/interceptors/revocation.ts';
import type { Generate, GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { Registry } from '../fleet/registry.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { InFlight } from '../select/in-flight.ts';
import { areUnloaded, select } from '../select/select.ts';
import { admit, modelNotLoaded, noHealthyEngine } from './admission.ts';
import { type Caller, Callers } from './callers.ts';
import type { Deadlines } from './deadlines.ts';
import { RunningGeneration } from './running-generation.ts';
import type { Lease, Settlement } from './settle.ts';

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
  readonly settlement: Settlement;
  readonly registry: Registry;
  readonly inFlight: InFlight;
  readonly deadlines: Deadlines;
  /** The engines of the node at an address; "" is this process. */
  readonly generateAt: (address: string) => Generate;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** How long after its time limit a generation may still be settled, in milliseconds: the retries of a settlement. */
const SETTLE_MARGIN_MS = 60_000;

/** The front door: authenticate → admit → reserve quota → choose an engine → stream → settle. */
export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #running = new Set<RunningGeneration>();
  readonly #callers = new Callers();
  #draining = false;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** The seam that facade and RPC handlers call. */
  readonly generate: Generate = (request, call, sink) => {
    void this.#run(request, call, sink);
  };

  /** How many generations are with an engine now. */
  get runningCount(): number {
    return this.#running.size;
  }

  /** Takes nothing new from now on. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends what still runs; what was delivered is charged. */
  abortAll(error: MeshError): void {
    for (const generation of this.#running) generation.expire(error);
  }

  /** Ends the generations that a revocation is about; what was delivered is charged. */
  cut(revocation: Revocation): void {
    this.#callers.cut(revocation);
  }

  async #run(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): Promise<void> {
    const { authenticate, settlement, registry, now } = this.#parts;
    const startedAtMs = performance.now();
    const createdAtMs = now();
    let lease: Lease | undefined;
    const caller = this.#callers.enter();
    try {
      if (this.#draining) throw new MeshError('SHUTTING_DOWN', 'The server is shutting down.', { retryAfterMs: 1_000 });
      const principal = await authenticate(call);
      caller.identify(principal);
      call.signal.throwIfAborted();
      const route = admit(principal, request, registry.snapshot);
      lease = await settlement.reserve({
        // Callers may choose the request id: a repeated one must not pass as a repetition of the same reservation.
        reservationId: `${call.requestId}:${randomUUID()}`,
        principal,
        clientIp: call.clientIp ?? '',
        model: route.id,
        requestAlreadyCounted: call.onBehalfOf?.requestAlreadyCounted ?? false,
        holdFor: durationFromMs(this.#parts.deadlines.totalMs + SETTLE_MARGIN_MS),
        maxCompletionTokens: request.sampling?.maxTokens ?? route.candidates[0]?.engine.contextTokens ?? 0,
      });
      caller.throwIfCut();
      call.signal.throwIfAborted();
      const candidate = this.#choose(route, request);
      this.#dispatch(candidate, request, call, { sink, lease, caller, createdAtMs, startedAtMs });
    } catch (error) {
      lease?.release();
      caller.leave();
      sink.fail(asMeshError(error));
    }
  }

  #choose(route: ModelRoute, request: GenerateRequest): Candidate {
    const chosen = select(route.candidates, {
      pinned: request.engine,
      inFlight: (id) => this.#parts.inFlight.count(id),
      random: Math.random,
    });
    if (chosen) return chosen;
    throw areUnloaded(route.candidates, request.engine) ? modelNotLoaded(route.id) : noHealthyEngine(route.id);
  }

  #dispatch(
    candidate: Candidate,
    request: GenerateRequest,
    call: GenerationCall,
    {
      caller,
      ...rest
    }: { sink: GenerationSink; lease: Lease; caller: Caller; createdAtMs: number; startedAtMs: number },
  ): void {
    const { inFlight, deadlines, generateAt } = this.#parts;
    const release = inFlight.acquire(candidate.id);
    const engine = candidate.engine.name;
    const generation = new RunningGeneration({
      ...rest,
      call,
      model: request.model,
      engine,
      onEnd: () => {
        release();
        unwatch();
        caller.leave();
        this.#running.delete(generation);
      },
    });
    const unwatch = deadlines.watch(generation);
    this.#running.add(generation);
    caller.onCut = (error) => generation.expire(error);
    try {
      generateAt(candidate.address)({ ...request, engine }, generation.engineCall, generation);
    } catch (error) {
      // The seam promises not to throw; one that does must not leave a generation that never ends.
      generation.fail(asMeshError(error));
    }
  }
}
