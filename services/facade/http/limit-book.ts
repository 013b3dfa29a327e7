import type { CallOptions, Client } from '@connectrpc/connect';
import type { FastifyRequest } from 'fastify';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import type { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { CALL_TIMEOUT_MS, requestOptions } from './caller.ts';

/** How long a caller's limits are told from memory, in milliseconds. */
const FRESH_MS = 1000;
/** Callers that are remembered; the one looked up longest ago goes first. */
const MAX_CALLERS = 4096;

/** The last known state of callers' limits. */
export interface LimitBook {
  /** The limits of a request's caller, at most a second old. Rejects as GetLimits does. */
  of(request: FastifyRequest): Promise<readonly LimitState[]>;
  /** Notes what a request's generation told. */
  remember(request: FastifyRequest, limits: readonly LimitState[]): void;
}

interface Entry {
  readonly atMs: number;
  readonly limits: Promise<readonly LimitState[]> | readonly LimitState[];
}

/** What a LimitBook is made of. */
export interface LimitBookOptions {
  /** Called on behalf of the caller, with the caller's credential. */
  readonly quota: Client<typeof QuotaService>;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
  /** In milliseconds. */
  readonly now: () => number;
}

/** Makes a LimitBook. */
export function createLimitBook({ quota, clientIp, now }: LimitBookOptions): LimitBook {
  const entries = new Map<string, Entry>();
  const put = (key: string, entry: Entry): void => {
    entries.delete(key);
    entries.set(key, entry);
    if (entries.size <= MAX_CALLERS) return;
    for (const oldest of entries.keys()) {
      entries.delete(oldest);
      break;
    }
  };
  // A key may be bound to addresses: what it may know from one says nothing about another.
  const keyOf = (request: FastifyRequest): string => `${clientIp(request.raw) ?? ''} ${request.credential}`;
  const load = async (options: CallOptions) => (await quota.getLimits({}, options)).limits;
  return {
    of: async (request) => {
      const key = keyOf(request);
      const known = entries.get(key);
      if (known && now() - known.atMs < FRESH_MS) return known.limits;
      const limits = load(requestOptions(request, clientIp, { timeoutMs: CALL_TIMEOUT_MS }));
      put(key, { atMs: now(), limits });
      // A refusal is not remembered: the next request asks again.
      limits.catch(() => {
        if (entries.get(key)?.limits === limits) entries.delete(key);
      });
      return limits;
    },
    remember: (request, limits) => put(keyOf(request), { atMs: now(), limits }),
  };
}
