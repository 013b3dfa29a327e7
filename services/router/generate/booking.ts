import { randomUUID } from 'node:crypto';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { LimitScope } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Registry } from '../fleet/registry.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { InFlight } from '../select/in-flight.ts';
import { areUnloaded, select } from '../select/select.ts';
import { modelNotLoaded, noHealthyEngine } from './admission.ts';
import { demandOf, type PromptLength } from './demand.ts';
import { promptBound } from './prompt-bound.ts';
import type { CountPrompt } from './prompt-count.ts';
import { isRefusedByPrompt, namedLimit } from './refused-by.ts';
import type { Lease, Settlement } from './settle.ts';

/** Who asks for a generation. */
export interface Asking {
  readonly principal: Principal;
  readonly requestId: string;
  /** Empty: unknown. */
  readonly clientIp: string;
  /** Limits on requests are left alone: a task counted already when it was submitted. */
  readonly requestAlreadyCounted: boolean;
  readonly signal: AbortSignal;
}

/** A place on an engine, and the lease for it. */
export interface Booked {
  readonly candidate: Candidate;
  readonly lease: Lease;
  /** Frees the place; the lease is ended by itself. */
  readonly leave: () => void;
}

/** What booking works with. */
export interface BookingParts {
  readonly settlement: Settlement;
  readonly registry: Registry;
  readonly inFlight: InFlight;
  readonly countPrompt: CountPrompt;
}

/** Finds an engine for a request and reserves quota for it. */
export class Booking {
  readonly #parts: BookingParts;

  constructor(parts: BookingParts) {
    this.#parts = parts;
  }

  /**
   * Chooses an engine first, because limits may be its own; when they are full, another one. Without an engine nothing is
   * reserved.
   *
   * @throws MeshError NO_HEALTHY_ENGINE, MODEL_NOT_LOADED, or what Settlement.reserve throws; nothing is held then.
   */
  async book(request: GenerateRequest, route: ModelRoute, asking: Asking): Promise<Booked> {
    const prompt = { tokens: promptBound(request), isExact: false, isCounted: false };
    const tried = new Set<string>();
    let refusal: MeshError | undefined;
    for (;;) {
      const candidate = this.#choose(route, request.engine, tried);
      if (!candidate) throw refusal ?? noneOf(route, request.engine);
      const { name } = candidate.engine;
      tried.add(name);
      try {
        const lease = await this.#reserve(request, route, candidate, prompt, asking);
        const booked = this.#take(request.model, name, lease);
        if (booked) return booked;
        lease.release();
      } catch (error) {
        const known = asMeshError(error);
        if (namedLimit(known)?.limit?.scope !== LimitScope.ENGINE) throw known;
        refusal = sooner(refusal, known);
      }
      asking.signal.throwIfAborted();
    }
  }

  /** The reservation took its time: the engine may have filled or gone meanwhile. Limits are by name, which nodes may share. */
  #take(model: string, engine: string, lease: Lease): Booked | undefined {
    const { registry, inFlight } = this.#parts;
    const route = registry.snapshot.route(model);
    const candidate = route && this.#choose(route, engine, new Set());
    return candidate && { candidate, lease, leave: inFlight.acquire(candidate.id) };
  }

  #choose({ candidates }: ModelRoute, pinned: string, without: ReadonlySet<string>): Candidate | undefined {
    const left = without.size === 0 ? candidates : candidates.filter(({ engine }) => !without.has(engine.name));
    return select(left, { pinned, inFlight: (id) => this.#parts.inFlight.count(id), random: Math.random });
  }

  /** With a bound for the length of the prompt. Only when a limit has no room for the bound it is worth counting. */
  async #reserve(
    request: GenerateRequest,
    route: ModelRoute,
    candidate: Candidate,
    prompt: PromptLength & { isCounted: boolean },
    asking: Asking,
  ): Promise<Lease> {
    try {
      return await this.#ask(request, route, candidate, prompt, asking);
    } catch (error) {
      const known = asMeshError(error);
      if (prompt.isCounted || !isRefusedByPrompt(known)) throw known;
      const counted = await this.#parts.countPrompt(request, route.candidates, asking.signal);
      if (counted === undefined) throw known;
      Object.assign(prompt, counted, { isCounted: true });
      return this.#ask(request, route, candidate, prompt, asking);
    }
  }

  #ask(
    request: GenerateRequest,
    route: ModelRoute,
    { engine }: Candidate,
    prompt: PromptLength,
    { principal, requestId, clientIp, requestAlreadyCounted, signal }: Asking,
  ): Promise<Lease> {
    signal.throwIfAborted();
    return this.#parts.settlement.reserve({
      // Callers may choose the request id: a repeated one must not pass as a repetition of the same reservation.
      reservationId: `${requestId}:${randomUUID()}`,
      principal,
      clientIp,
      model: route.id,
      modelNames: [...route.names],
      engine: engine.name,
      requestAlreadyCounted,
      ...demandOf(request, engine.contextTokens, prompt),
    });
  }
}

function noneOf({ id, candidates }: ModelRoute, pinned: string): MeshError {
  return areUnloaded(candidates, pinned) ? modelNotLoaded(id) : noHealthyEngine(id);
}

/** The refusal of the engine that frees first. */
function sooner(known: MeshError | undefined, other: MeshError): MeshError {
  return known && (known.retryAfterMs ?? 0) <= (other.retryAfterMs ?? 0) ? known : other;
}
