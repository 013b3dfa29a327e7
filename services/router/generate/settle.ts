import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import type {
  QuotaService,
  ReserveRequestSchema,
  ReserveResponse,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { Reason } from '../../shared/errors/reasons.ts';

/** What a generation used. */
export interface Consumption {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** The engine that produced it. */
  readonly engine: string;
}

/** A reservation of one generation. The first of `settle` and `release` counts, whatever is called after it. */
export interface Lease {
  /** The state of the caller's limits, this request counted. */
  readonly limits: readonly LimitState[];
  /** Charges what was used and returns the rest. */
  settle(consumption: Consumption): void;
  /** Returns everything: no engine took the request. */
  release(): void;
}

/** Waits between attempts to settle while the store is down, in milliseconds; after the last one the lease expires. */
const RETRY_DELAYS_MS = [50, 200, 1_000, 5_000, 15_000];

/** How long quota has to answer, in milliseconds; its store gives up long before. */
const CALL_OPTIONS = { timeoutMs: 2_000 };

/** Failures after which an operation may have been carried out. */
const UNKNOWN_OUTCOMES: ReadonlySet<Reason> = new Set(['STORE_UNAVAILABLE', 'PEER_UNAVAILABLE', 'DEADLINE_EXCEEDED']);

type ReserveInit = Omit<MessageInitShape<typeof ReserveRequestSchema>, '$typeName' | 'operationId'>;

/** Reserves and settles. Settlement runs in the background: no caller waits for it, and closing waits for all of it. */
export class Settlement {
  readonly #quota: Client<typeof QuotaService>;
  readonly #log: Logger;
  readonly #pending = new Set<Promise<void>>();

  constructor(quota: Client<typeof QuotaService>, log: Logger) {
    this.#quota = quota;
    this.#log = log;
  }

  /**
   * Takes a reservation over all limits at once.
   *
   * @throws MeshError RATE_LIMIT_EXCEEDED, TOKEN_BUDGET_SPENT, STORE_UNAVAILABLE, PEER_UNAVAILABLE.
   */
  async reserve(request: ReserveInit): Promise<Lease> {
    const reservationId = request.reservationId ?? '';
    const answer = await this.#track(this.#reserveOrUndo(reservationId, request));
    let ended = false;
    const once = (end: () => Promise<unknown>): void => {
      if (ended) return;
      ended = true;
      this.#inBackground(reservationId, end);
    };
    return {
      limits: answer.limits,
      settle: (consumption) =>
        once(() =>
          this.#quota.settle({ ...consumption, reservationId, operationId: `${reservationId}:settle` }, CALL_OPTIONS),
        ),
      release: () => once(() => this.#release(reservationId)),
    };
  }

  /** Resolves when everything that ended is settled or given up. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  /** An answer that was lost may stand for a reservation that was made: it is given back, so that a refusal costs nothing. */
  async #reserveOrUndo(reservationId: string, request: ReserveInit): Promise<ReserveResponse> {
    try {
      return await this.#quota.reserve({ ...request, operationId: `${reservationId}:reserve` }, CALL_OPTIONS);
    } catch (error) {
      if (UNKNOWN_OUTCOMES.has(asMeshError(error).reason)) {
        // The reservation may still be on its way, so "not found" is no answer yet either.
        this.#inBackground(reservationId, () => this.#release(reservationId), ['RESERVATION_NOT_FOUND']);
      }
      throw error;
    }
  }

  #release(reservationId: string): Promise<unknown> {
    return this.#quota.release({ reservationId, operationId: `${reservationId}:release` }, CALL_OPTIONS);
  }

  #inBackground(reservationId: string, end: () => Promise<unknown>, alsoAgainAfter: readonly Reason[] = []): void {
    void this.#track(this.#withRetries(reservationId, end, alsoAgainAfter));
  }

  /** Closing waits for it. */
  #track<T>(work: Promise<T>): Promise<T> {
    const done = work.then(
      () => undefined,
      // Whoever called hears of the failure.
      () => undefined,
    );
    this.#pending.add(done);
    void done.then(() => this.#pending.delete(done));
    return work;
  }

  /** The operation id makes a repetition after a lost reply harmless. */
  async #withRetries(
    reservationId: string,
    end: () => Promise<unknown>,
    alsoAgainAfter: readonly Reason[],
  ): Promise<void> {
    for (const delayMs of [...RETRY_DELAYS_MS, undefined]) {
      try {
        await end();
        return;
      } catch (error) {
        const { reason, message } = asMeshError(error);
        const again = UNKNOWN_OUTCOMES.has(reason) || alsoAgainAfter.includes(reason);
        if (reason === 'RESERVATION_NOT_FOUND' && again && delayMs === undefined) return;
        if (!again || delayMs === undefined) {
          // The store settles what is left when the lease expires.
          this.#log.error({ reservationId, reason, err: error }, `settlement failed: ${message}`);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }
}
