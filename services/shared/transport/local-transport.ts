import type { Interceptor, Transport } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Authorizer } from '../interceptors/authorize.ts';
import type { Routes } from './routes.ts';

/** What a local transport is made of. */
export interface LocalTransportOptions {
  /** Decides on calls that carry a caller's credential, as on the listener. */
  readonly authorizer: Authorizer;
  readonly log: Logger;
  /** Client interceptors, applied to every call. */
  readonly interceptors?: Interceptor[];
}

/**
 * Calls services of this process without encoding: the message itself is handed over and is read-only. Deadlines,
 * cancellation and errors are as over the network. A call is the process's own (PEER_PRINCIPAL) unless it carries a
 * caller's credential or is marked as forwarded; then it is authorized and validated as on the listener.
 */
export function createLocalTransport(_routes: readonly Routes[], _options: LocalTransportOptions): Transport {
  throw new Error('not yet');
}
