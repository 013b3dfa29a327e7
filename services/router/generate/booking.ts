import { randomUUID } from 'node:crypto';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { LimitScope } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Registry } from '../fleet/registry.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { Chooser } from '../select/chooser.ts';
import { featuresOf, type RouteFeatures } from '../select/features.ts';
import { areUnloaded } from '../select/select.ts';
import { modelNotLoaded, noHealthyEngine } from './admission.ts';
import { demandOf, type PromptLength } from './demand.ts';
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

/** A place on an engine. */
export interface Place {
  readonly candidate: Candidate;
  /** The underlying model that was chosen. */
  readonly modelId: string;
  /** Frees the place; a lease is ended by itself. */
  readonly leave: () => void;
}

/** A place on an engine, and the lease for it. */
export interface Booked extends Place {
  readonly lease: Lease;
}

/** What booking works with. */
export interface BookingParts {
  readonly settlement: Settlement;
  readonly registry: Registry;
  readonly chooser: Chooser;
  readonly countPrompt: CountPrompt;
}

/** Finds an engine for a request and reserves quota for it. */
export class Booking {
  readonly #parts: BookingParts;

  constructor(parts: BookingParts) {
    this.#parts = parts;
  }

  /**
   * Chooses an engine first, because limits may be its own; when they are full, another one, and when none of the model can
   * take the request, one of the next model. Without an engine nothing is reserved.
   *
   * @param routes the model and its fallbacks, in order
   * @throws MeshError NO_HEALTHY_ENGINE, MODEL_NOT_LOADED, or what Settlement.reserve throws; nothing is held then.
   */
  async book(request: GenerateRequest, routes: readonly ModelRoute[], asking: Asking): Promise<Booked> {
    const features = featuresOf(request);
    let refusal: MeshError | undefined;
    for (const route of routes) {
      const booked = await this.#bookOn(route, request, features, asking);
      if (!(booked instanceof MeshError)) return booked;
      refusal ??= booked;
    }
    throw refusal ?? noHealthyEngine(request.model);
  }

  /** @returns the refusal when no engine of the model can take the request. */
  async #bookOn(
    route: ModelRoute,
    request: GenerateRequest,
    features: RouteFeatures,
    asking: Asking,
  ): Promise<Booked | MeshError> {
    const prompt = { tokens: features.promptTokens, isExact: false };
    const tried = new Set<string>();
    let refusal: MeshError | undefined;
    for (;;) {
      const candidate = this.#choose(route, features, ({ engine }) => tried.has(engine.name));
      if (!candidate) return refusal ?? noneOf(route, request.engine);
      const { name } = candidate.engine;
      tried.add(name);
      try {
        const lease = await this.#reserve(request, route, candidate, prompt, asking);
        const booked = this.#take(route.id, name, features, lease);
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
  #take(model: string, engine: string, features: RouteFeatures, lease: Lease): Booked | undefined {
    const { registry, chooser } = this.#parts;
    const route = registry.snapshot.route(model);
    const candidate = route && this.#choose(route, features, (other) => other.engine.name !== engine);
    return candidate && { candidate, modelId: model, lease, leave: chooser.take(candidate, model, features) };
  }

  /** Whether the model has an engine that takes requests and passes, busy or not. */
  hasOther({ modelId }: Place, passes: (candidate: Candidate) => boolean): boolean {
    const route = this.#parts.registry.snapshot.route(modelId);
    return route?.ready.some(passes) === true || route?.coming.some(passes) === true;
  }

  /**
   * Another place for a request that has its lease already: on an engine of the same name, of which limits are, else on any of
   * the same model. Undefined: none can take it now.
   */
  async another(
    request: GenerateRequest,
    from: Place,
    passes: (candidate: Candidate) => boolean,
  ): Promise<Place | undefined> {
    const { registry, chooser } = this.#parts;
    const { modelId } = from;
    const route = registry.snapshot.route(modelId);
    if (!route) return undefined;
    const features = featuresOf(request);
    const { name } = from.candidate.engine;
    const candidate =
      this.#choose(route, features, (other) => !passes(other) || other.engine.name !== name) ??
      this.#choose(route, features, (other) => !passes(other));
    return candidate && { candidate, modelId, leave: chooser.take(candidate, modelId, features) };
  }

  #choose(
    route: ModelRoute,
    features: RouteFeatures,
    excluded: (candidate: Candidate) => boolean,
  ): Candidate | undefined {
    return this.#parts.chooser.choose(route, features, excluded)?.candidate;
  }

  /** With a bound for the length of the prompt. Only when a limit has no room for the bound it is worth counting. */
  async #reserve(
    request: GenerateRequest,
    route: ModelRoute,
    candidate: Candidate,
    prompt: { tokens: number; isExact: boolean },
    asking: Asking,
  ): Promise<Lease> {
    try {
      return await this.#ask(request, route, candidate, prompt, asking);
    } catch (error) {
      const known = asMeshError(error);
      if (prompt.isExact || !isRefusedByPrompt(known)) throw known;
      const tokens = await this.#parts.countPrompt(request, route.candidates, asking.signal);
      if (tokens === undefined) throw known;
      Object.assign(prompt, { tokens, isExact: true });
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
