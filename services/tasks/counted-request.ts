import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import type { LimitState } from '../../gen/mesh/quota/v1/limit_pb.ts';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { asMeshError } from '../shared/errors/connect-error.ts';
import type { MeshError } from '../shared/errors/mesh-error.ts';
import type { Reason } from '../shared/errors/reasons.ts';

/** The part of a submission that limits on requests see. */
export interface CountedRequest {
  /** Names it; the same for a repetition, which then counts nothing. */
  readonly id: string;
  readonly principal: Principal;
  readonly clientIp: string | undefined;
  /** The underlying model and its other names; '' and none: not known. */
  readonly model: string;
  readonly modelNames: readonly string[];
}

/** A request that was counted, for as long as it is not decided what becomes of it. */
export interface Counted {
  readonly limits: readonly LimitState[];
  /** It stays counted. */
  keep(): Promise<void>;
  /** It never was. */
  undo(): Promise<void>;
}

/** How long quota has to answer, in milliseconds; its store gives up long before. */
const CALL_OPTIONS = { timeoutMs: 2_000 };

/** How long the store has to take the task in; then the request stays counted. */
const HOLD_MS = 10_000;

/** How often quota is told what became of it. */
const TELLS = 3;

/**
 * Counts the request of a submission; its tokens are reserved when it runs.
 *
 * @throws MeshError RATE_LIMIT_EXCEEDED, TOKEN_BUDGET_SPENT or STORE_UNAVAILABLE.
 */
export async function countRequest(
  quota: Client<typeof QuotaService>,
  request: CountedRequest,
  log: Logger,
): Promise<Counted> {
  const { id: reservationId, principal, clientIp = '', model, modelNames } = request;
  const demand = { promptTokens: 0, maxCompletionTokens: 0, holdFor: durationFromMs(HOLD_MS) };
  const whose = { principal, clientIp, model, modelNames: [...modelNames] };
  let limits: readonly LimitState[] = [];
  try {
    const operationId = `${reservationId}:reserve`;
    limits = (await quota.reserve({ ...whose, ...demand, reservationId, operationId }, CALL_OPTIONS)).limits;
  } catch (error) {
    // Counted by an earlier call of which nobody knows whether it was accepted.
    if (asMeshError(error).reason !== 'RESERVATION_ENDED') throw error;
  }
  const operationId = `${reservationId}:end`;
  const nothing = { promptTokens: 0, completionTokens: 0, engine: '' };
  return {
    limits,
    keep: () => tell(() => quota.settle({ reservationId, operationId, ...nothing }, CALL_OPTIONS), log),
    undo: () => tell(() => quota.release({ reservationId, operationId }, CALL_OPTIONS), log),
  };
}

/** What quota does not hear in the end it settles by itself, when the lease is over: as counted. */
async function tell(end: () => Promise<unknown>, log: Logger): Promise<void> {
  let failure: MeshError | undefined;
  for (let i = 0; i < TELLS; i += 1) {
    try {
      await end();
      return;
    } catch (error) {
      failure = asMeshError(error);
      if (!UNKNOWN.has(failure.reason)) break;
    }
  }
  // An earlier call of the same submission ended it.
  if (failure?.reason !== 'RESERVATION_ENDED') log.warn({ err: failure }, 'quota was not told of a submission');
}

const UNKNOWN: ReadonlySet<Reason> = new Set(['STORE_UNAVAILABLE', 'PEER_UNAVAILABLE', 'DEADLINE_EXCEEDED']);
