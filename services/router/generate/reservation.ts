import { randomUUID } from 'node:crypto';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { LimitScope } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import { demandOfAll, type PromptLength } from './demand.ts';
import { promptBounds } from './prompt-bound.ts';
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
  /** Ends the waiting; its reason is a MeshError. */
  readonly signal: AbortSignal;
  /** Keeps a lease alive while its request waits, until the returned function is called. */
  readonly keep: (lease: Lease) => () => void;
}

/** What reservations are made with. */
export interface ReservationParts {
  readonly settlement: Pick<Settlement, 'reserve'>;
  readonly countPrompt: CountPrompt;
}

/** Reserves quota for one request at engines of one model, as long as it takes to find one. */
export class Reservation {
  /** Names of engines that have limits of their own without room for it. */
  readonly limited = new Set<string>();
  /** How the one of them refused that frees first. */
  refusal: MeshError | undefined;
  readonly #parts: ReservationParts;
  readonly #request: GenerateRequest;
  readonly #route: ModelRoute;
  readonly #asking: Asking;
  #prompts: readonly PromptLength[];
  /** Whether a tokenizer was asked; once is enough. */
  #isCounted = false;

  constructor(parts: ReservationParts, request: GenerateRequest, route: ModelRoute, asking: Asking) {
    this.#parts = parts;
    this.#request = request;
    this.#route = route;
    this.#asking = asking;
    this.#prompts = promptBounds(request).map((tokens) => ({ tokens, isExact: false }));
  }

  /** Whether the limits of an engine refused. They are by name, which nodes may share. */
  readonly isLimited = ({ engine }: Candidate): boolean => this.limited.has(engine.name);

  /**
   * A lease for it there. Undefined: the engine's own limits have no room.
   *
   * @throws MeshError as Settlement.reserve, for all other limits; the signal's reason.
   */
  async at(candidate: Candidate): Promise<Lease | undefined> {
    try {
      return await this.#reserve(candidate);
    } catch (error) {
      const known = asMeshError(error);
      if (namedLimit(known)?.limit?.scope !== LimitScope.ENGINE) throw known;
      this.limited.add(candidate.engine.name);
      this.refusal = sooner(this.refusal, known);
      return undefined;
    }
  }

  /** With a bound for the length of the prompt. Only when a limit has no room for the bound it is worth counting. */
  async #reserve(candidate: Candidate): Promise<Lease> {
    try {
      return await this.#ask(candidate);
    } catch (error) {
      const known = asMeshError(error);
      if (this.#isCounted || !isRefusedByPrompt(known)) throw known;
      const counted = await this.#parts.countPrompt(this.#request, this.#route.candidates, this.#asking.signal);
      if (counted === undefined) throw known;
      this.#prompts = counted;
      this.#isCounted = true;
      return await this.#ask(candidate);
    }
  }

  #ask({ engine }: Candidate): Promise<Lease> {
    const { principal, requestId, clientIp, requestAlreadyCounted, signal } = this.#asking;
    signal.throwIfAborted();
    return this.#parts.settlement.reserve({
      // Callers may choose the request id: a repeated one must not pass as a repetition of the same reservation.
      reservationId: `${requestId}:${randomUUID()}`,
      principal,
      clientIp,
      model: this.#route.id,
      modelNames: [...this.#route.names],
      engine: engine.name,
      requestAlreadyCounted,
      ...demandOfAll(this.#request, engine.contextTokens, this.#prompts),
    });
  }
}

/** The refusal of the engine that frees first. */
function sooner(known: MeshError | undefined, other: MeshError): MeshError {
  return known && (known.retryAfterMs ?? 0) <= (other.retryAfterMs ?? 0) ? known : other;
}
