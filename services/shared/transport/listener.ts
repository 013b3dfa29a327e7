import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { HealthState } from '../grpc/health.ts';
import type { Authorizer } from '../interceptors/authorize.ts';
import type { Routes } from './routes.ts';

/** A request over HTTP/1.1 or HTTP/2. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;

/** The response to it. */
export type NodeResponse = ServerResponse<IncomingMessage> | Http2ServerResponse;

/** Answers everything that is no RPC. */
export type FallbackHandler = (request: NodeRequest, response: NodeResponse) => void;

/** What a listener is made of. */
export interface ListenerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** The services. Health and reflection are added. */
  readonly routes: readonly Routes[];
  readonly authorizer: Authorizer;
  readonly health: HealthState;
  readonly log: Logger;
  /** Further server interceptors, e.g. for traces; they stand between error mapping and validation. */
  readonly interceptors?: readonly Interceptor[];
  /** The facade. Unset: 404. */
  readonly fallback?: FallbackHandler | undefined;
  /** Origins whose scripts may call; default `['*']`. */
  readonly corsOrigins?: readonly string[];
  /** Addresses and CIDR ranges of proxies besides loopback whose X-Forwarded-For is believed. */
  readonly trustedProxies?: readonly string[];
  /** How long a client may leave a response unread, in milliseconds; default 30,000. */
  readonly idleWriteMs?: number;
}

/** One port that answers HTTP/1.1, HTTP/2 without TLS, gRPC, gRPC-Web and Connect. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /** E.g. "http://127.0.0.1:8000". */
  readonly url: string;
  /** Whether new work is refused. */
  readonly draining: boolean;
  /**
   * Refuses new RPCs of callers with SHUTTING_DOWN, those of peers and health go on; the fallback decides by `draining`.
   * Resolves when no work of callers is running, or after the time, whichever is first: true when nothing runs.
   */
  drain(timeoutMs: number): Promise<boolean>;
  /** Aborts what runs with SHUTTING_DOWN, gives it a moment to say so, and cuts every connection. */
  close(): Promise<void>;
}

/** The port is taken or not ours to take; the process may try again later. */
export class PortUnavailable extends Error {
  override readonly name = 'PortUnavailable';
}

/**
 * Listens.
 *
 * @throws PortUnavailable, or Error naming the methods that have no entry in the authorization table.
 */
export async function startListener(_options: ListenerOptions): Promise<Listener> {
  throw new Error('not yet');
}
