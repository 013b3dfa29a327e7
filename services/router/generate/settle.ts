import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import type { QuotaService, ReserveRequestSchema } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';

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
  async reserve(
    request: Omit<MessageInitShape<typeof ReserveRequestSchema>, '$typeName' | 'operationId'>,
  ): Promise<Lease> {
    const reservationId = request.reservationId ?? '';
    const answer = await this.#quota.reserve({ ...request, operationId: `${reservationId}:reserve` });
    let ended = false;
    const once = (end: () => Promise<unknown>): void => {
      if (ended) return;
      ended = true;
      this.#inBackground(reservationId, end);
    };
    return {
      limits: answer.limits,
      settle: (consumption) =>
        once(() => this.#quota.settle({ ...consumption, reservationId, operationId: `${reservationId}:settle` })),
      release: () => once(() => this.#quota.release({ reservationId, operationId: `${reservationId}:release` })),
    };
  }

  /** Resolves when everything that ended is settled or given up. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  #inBackground(reservationId: string, end: () => Promise<unknown>): void {
    const work = this.#withRetries(reservationId, end).finally(() => this.#pending.delete(work));
    this.#pending.add(work);
  }

  /** The operation id makes a repetition after a lost reply harmless. */
  async #withRetries(reservationId: string, end: () => Promise<unknown>): Promise<void> {
    for (const delayMs of [...RETRY_DELAYS_MS, undefined]) {
      try {
        await end();
        return;
      } catch (error) {
        const { reason, message } = asMeshError(error);
        const again = reason === 'STORE_UNAVAILABLE' || reason === 'PEER_UNAVAILABLE' || reason === 'DEADLINE_EXCEEDED';
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
