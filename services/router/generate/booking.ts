import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Registry } from '../fleet/registry.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { Place, Places, Wanting } from '../queue/places.ts';
import type { Chooser } from '../select/chooser.ts';
import { featuresOf, type RouteFeatures } from '../select/features.ts';
import { areUnloaded } from '../select/select.ts';
import { modelNotLoaded, noHealthyEngine } from './admission.ts';
import { type Asking, Reservation, type ReservationParts } from './reservation.ts';
import type { Lease } from './settle.ts';

/** A place on an engine, and the lease for it, which is ended by itself. */
export interface Booked extends Place {
  readonly lease: Lease;
}

/** What booking works with. */
export interface BookingParts extends ReservationParts {
  readonly registry: Registry;
  readonly chooser: Chooser;
  readonly places: Places;
}

/** A request at the engines of one model. */
interface Wish {
  readonly request: GenerateRequest;
  readonly route: ModelRoute;
  readonly features: RouteFeatures;
  readonly reservation: Reservation;
  readonly asking: Asking;
}

/** Finds an engine for a request and reserves quota for it. */
export class Booking {
  readonly #parts: BookingParts;

  constructor(parts: BookingParts) {
    this.#parts = parts;
  }

  /**
   * Chooses an engine first, because limits may be its own; when they are full, another one, and when none of the model can
   * take the request, one of the next model. When all are full it waits in turn for one of the first model that has any. The
   * lease is taken before the wait and kept, so that what quota refuses is refused at once.
   *
   * @param routes the model and its fallbacks, in order
   * @throws MeshError NO_HEALTHY_ENGINE, MODEL_NOT_LOADED, QUEUE_FULL; what Settlement.reserve throws; the signal's reason.
   * Nothing is held then.
   */
  async book(
    request: GenerateRequest,
    routes: readonly [ModelRoute, ...ModelRoute[]],
    asking: Asking,
  ): Promise<Booked> {
    const features = featuresOf(request);
    const wishOf = (route: ModelRoute): Wish => {
      return { request, route, features, asking, reservation: new Reservation(this.#parts, request, route, asking) };
    };
    const [first, ...others] = routes;
    const wish = wishOf(first);
    const wishes = [wish, ...others.map(wishOf)];
    for (const one of wishes) {
      const booked = await this.#atOnce(one);
      if (booked) return booked;
    }
    for (const one of wishes) {
      const booked = await this.#inTurn(one);
      if (booked) return booked;
    }
    throw wish.reservation.refusal ?? noneOf(first, request.engine);
  }

  /** Undefined: no engine of the model has a free place that nobody waits for. */
  async #atOnce({ route, features, reservation, asking }: Wish): Promise<Booked | undefined> {
    const filled = new Set<string>();
    for (;;) {
      if (this.#parts.places.isWaitedFor(route.id)) return undefined;
      const isOut = (one: Candidate): boolean => reservation.isLimited(one) || filled.has(one.engine.name);
      const candidate = this.#choose(route, features, isOut);
      if (!candidate) return undefined;
      const { name } = candidate.engine;
      const lease = await reservation.at(candidate);
      if (lease) {
        const booked = this.#take(route.id, name, features, lease);
        if (booked) return booked;
        filled.add(name);
        lease.release();
      }
      asking.signal.throwIfAborted();
    }
  }

  /** The reservation took its time: the engine may have filled or gone meanwhile. Limits are by name, which nodes may share. */
  #take(modelId: string, engine: string, features: RouteFeatures, lease: Lease): Booked | undefined {
    const { registry, chooser, places } = this.#parts;
    if (places.isWaitedFor(modelId)) return undefined;
    const { snapshot } = registry;
    const named = snapshot.route(engine);
    // What the name narrows it to, so that nobody looks at a thousand others.
    const route = named?.id === modelId ? named : snapshot.route(modelId);
    const candidate = route && this.#choose(route, features, (other) => other.engine.name !== engine);
    return candidate && { candidate, modelId, lease, waitedMs: 0, leave: chooser.take(candidate, modelId, features) };
  }

  /** Undefined: there is no engine to wait for. */
  async #inTurn({ request, route, features, reservation, asking }: Wish): Promise<Booked | undefined> {
    const { registry, chooser, places } = this.#parts;
    const { principal, signal } = asking;
    const wanting: Wanting = {
      ...{ principal, features, request, signal },
      modelId: route.id,
      route: () => registry.snapshot.route(route.key),
      excluded: reservation.isLimited,
    };
    for (;;) {
      const candidate = chooser.oneToWaitFor(route, features, reservation.isLimited);
      if (!candidate) return undefined;
      const refusal = places.refusalOf(wanting);
      if (refusal) throw refusal;
      const lease = await reservation.at(candidate);
      if (!lease) continue;
      const leave = asking.keep(lease);
      try {
        return await this.#wait({ ...wanting, preferred: candidate.engine.name }, lease, reservation);
      } finally {
        leave();
      }
    }
  }

  /** Waits with a lease for engines of the preferred name; the place may be at one of another name, with limits of its own. */
  async #wait(wanting: Wanting, lease: Lease, reservation: Reservation): Promise<Booked> {
    try {
      for (;;) {
        const place = await this.#parts.places.take(wanting);
        if (place.candidate.engine.name === wanting.preferred) return { ...place, lease };
        const other = await this.#leaseAt(place, reservation);
        if (other) {
          lease.release();
          return { ...place, lease: other };
        }
        place.leave();
        reservation.limited.add(place.candidate.engine.name);
      }
    } catch (error) {
      lease.release();
      throw error;
    }
  }

  /** Undefined: what limits have left is not enough for both leases, or they cannot be checked. The first one is kept then. */
  async #leaseAt({ candidate }: Place, reservation: Reservation): Promise<Lease | undefined> {
    try {
      return await reservation.at(candidate);
    } catch {
      return undefined;
    }
  }

  /** Whether the model has an engine that takes requests and passes, busy or not. */
  hasOther({ modelId }: Place, passes: (candidate: Candidate) => boolean): boolean {
    const route = this.#parts.registry.snapshot.route(modelId);
    return route?.ready.some(passes) === true || route?.coming.some(passes) === true;
  }

  /**
   * Another place for a request that has its lease already, before all who wait for their first: on an engine of the same
   * name, of which limits are, else on any of the same model. Undefined: there is none, or the signal ended the waiting.
   */
  async another(
    request: GenerateRequest,
    place: Place,
    passes: (candidate: Candidate) => boolean,
    signal: AbortSignal,
  ): Promise<Place | undefined> {
    const wanting = this.#wantingLike(request, place, signal);
    const excluded = (other: Candidate): boolean => !passes(other);
    try {
      return await this.#parts.places.take({ ...wanting, principal: NOBODY, excluded, isAhead: true });
    } catch {
      return undefined;
    }
  }

  /**
   * A place for one more request under the same lease, in turn as that of any caller: what is split up must not get ahead.
   *
   * @throws MeshError as Places.take
   */
  oneMore(
    request: GenerateRequest,
    place: Place,
    principal: Wanting['principal'],
    signal: AbortSignal,
  ): Promise<Place> {
    return this.#parts.places.take({ ...this.#wantingLike(request, place, signal), principal });
  }

  #wantingLike(
    request: GenerateRequest,
    { modelId, candidate }: Place,
    signal: AbortSignal,
  ): Omit<Wanting, 'principal'> {
    const { registry } = this.#parts;
    return {
      ...{ modelId, request, signal },
      features: featuresOf(request),
      preferred: candidate.engine.name,
      route: () => registry.snapshot.route(modelId),
    };
  }

  /** An engine refused a request because others have filled it. */
  isFull({ candidate }: Place): void {
    this.#parts.places.isBusy(candidate);
  }

  #choose(
    route: ModelRoute,
    features: RouteFeatures,
    excluded: (candidate: Candidate) => boolean,
  ): Candidate | undefined {
    return this.#parts.chooser.choose(route, features, excluded)?.candidate;
  }
}

/** Those who go ahead take turns among themselves as they come. */
const NOBODY = { organizationId: '', tier: '' };

function noneOf({ id, candidates }: ModelRoute, pinned: string): MeshError {
  return areUnloaded(candidates, pinned) ? modelNotLoaded(id) : noHealthyEngine(id);
}
