import { type Duration, durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import type {
  QuotaService,
  ReserveRequest,
  ReserveResponse,
  SettleRequest,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { tracer } from '../../shared/observability/tracer.ts';
import { DEFAULT_HOLD_MS, type Reserved } from './draw-down.ts';
import { Endings, UNKNOWN_OUTCOMES } from './endings.ts';

/** What a generation used. */
export interface Consumption {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** The engine that produced it. */
  readonly engine: string;
}

/** A reservation of one generation. The first of `settle` and `release` counts, whatever is called after it. */
export interface Lease extends Reserved {
  /** The state of the caller's limits, this request counted. */
  readonly limits: readonly LimitState[];
  /** Charges what was used and returns the rest. */
  settle(consumption: Consumption): void;
  /** Returns everything: no engine took the request. */
  release(): void;
}

/** How long quota has to answer, in milliseconds; its store gives up long before. */
const CALL_OPTIONS = { timeoutMs: 2_000 };

/** How long a lease that expired may still be settled, in milliseconds. */
const LATE_MS = 600_000;

/** How often an undone reservation may be unknown before it is believed never to have arrived. */
const NOT_FOUND_RETRIES = 3;

/** When to come back while limits cannot be checked, in milliseconds. */
const RETRY_AFTER_MS = 1_000;

/** What of a request to quota is the caller's to say. Left out: nothing of it is asked for. */
type ReserveInit = Partial<Omit<ReserveRequest, '$typeName' | '$unknown' | 'operationId' | 'holdFor'>> & {
  readonly reservationId: string;
};

/** Reserves and settles. Settlement runs in the background: no caller waits for it, and closing waits for all of it. */
export class Settlement {
  readonly #quota: Client<typeof QuotaService>;
  readonly #endings: Endings;
  readonly #holdMs: number;
  readonly #holdFor: Duration;

  /** `holdMs` is how long a lease lives without a report; a running generation renews it. */
  constructor(quota: Client<typeof QuotaService>, log: Logger, holdMs: number = DEFAULT_HOLD_MS) {
    this.#quota = quota;
    this.#holdMs = holdMs;
    this.#holdFor = durationFromMs(holdMs);
    this.#endings = new Endings(log);
  }

  /**
   * Takes a reservation over all limits at once.
   *
   * @throws MeshError RATE_LIMIT_EXCEEDED, TOKEN_BUDGET_SPENT, or STORE_UNAVAILABLE when limits cannot be checked.
   */
  async reserve(request: ReserveInit): Promise<Lease> {
    const { reservationId, promptTokens = 0, maxCompletionTokens = 0 } = request;
    // Its end may come in the turn of another request, when all else of this one is over.
    const inTrace = tracer().capture();
    const answer = await this.#endings.track(this.#reserveOrUndo(request));
    let ended = false;
    const once = (end: () => Promise<unknown>): void => {
      if (ended) return;
      ended = true;
      this.#endings.add({
        reservationId,
        end: () => inTrace(end),
        forMs: LATE_MS + this.#holdMs,
        notFoundRetries: 0,
        isExpendable: false,
      });
    };
    return {
      reservationId,
      promptTokens,
      maxCompletionTokens,
      coveredTokens: answer.coveredCompletionTokens,
      holdMs: this.#holdMs,
      limits: answer.limits,
      settle: (consumption) => once(() => this.#quota.settle(settleRequest(reservationId, consumption), CALL_OPTIONS)),
      release: () => once(() => this.#release(reservationId)),
    };
  }

  /** Resolves when everything that ended is settled or given up. */
  idle(): Promise<void> {
    return this.#endings.idle();
  }

  /** An answer that was lost may stand for a reservation that was made: it is given back, so that a refusal costs nothing. */
  async #reserveOrUndo(request: ReserveInit): Promise<ReserveResponse> {
    const { reservationId } = request;
    try {
      return await this.#quota.reserve(reserveRequest(request, this.#holdFor), CALL_OPTIONS);
    } catch (error) {
      const known = asMeshError(error);
      if (!UNKNOWN_OUTCOMES.has(known.reason)) throw known;
      // When its lease has run out there is nothing left to give back.
      const end = () => this.#release(reservationId);
      const undo = { reservationId, end, forMs: this.#holdMs, notFoundRetries: NOT_FOUND_RETRIES };
      this.#endings.add({ ...undo, isExpendable: true });
      throw new MeshError('STORE_UNAVAILABLE', 'Limits cannot be checked now. Try again shortly.', {
        metadata: known.metadata,
        retryAfterMs: known.retryAfterMs ?? RETRY_AFTER_MS,
        cause: error,
      });
    }
  }

  #release(reservationId: string): Promise<unknown> {
    return this.#quota.release({ reservationId, operationId: `${reservationId}:release` }, CALL_OPTIONS);
  }
}

/** Written out: a message made from a part of its fields costs as much as the rest of the call. */
function reserveRequest(asked: ReserveInit, holdFor: Duration): ReserveRequest {
  const { reservationId } = asked;
  return {
    $typeName: 'mesh.quota.v1.ReserveRequest',
    operationId: `${reservationId}:reserve`,
    reservationId,
    principal: asked.principal,
    clientIp: asked.clientIp ?? '',
    model: asked.model ?? '',
    promptTokens: asked.promptTokens ?? 0,
    maxCompletionTokens: asked.maxCompletionTokens ?? 0,
    requestAlreadyCounted: asked.requestAlreadyCounted ?? false,
    holdFor,
    engine: asked.engine ?? '',
    modelNames: asked.modelNames ?? [],
  };
}

function settleRequest(reservationId: string, { promptTokens, completionTokens, engine }: Consumption): SettleRequest {
  const operationId = `${reservationId}:settle`;
  return {
    $typeName: 'mesh.quota.v1.SettleRequest',
    operationId,
    reservationId,
    promptTokens,
    completionTokens,
    engine,
  };
}
