import { setMaxListeners } from 'node:events';
import net, { type Socket } from 'node:net';
import type { HandlerContext, Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import type { HealthState } from '../grpc/health.ts';
import { reflectionRoutes } from '../grpc/reflection.ts';
import { type Authorizer, isOpenService } from '../interceptors/authorize.ts';
import { createClientIp } from '../interceptors/client-ip.ts';
import { createErrorInterceptor, createErrorMapper } from '../interceptors/errors.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { validateInterceptor } from '../interceptors/validate.ts';
import { createCors } from './cors.ts';
import { type Exchange, exchangeKey, type FallbackHandler } from './exchange.ts';
import { createHttp1Server, createHttp2Server } from './http-servers.ts';
import { FIRST_BYTES_TIMEOUT_MS } from './limits.ts';
import { routeByPreface } from './preface.ts';
import { createRequestHandler, cutLateBody } from './request-handler.ts';
import type { Routes } from './routes.ts';
import { createRpcHandler } from './rpc-handler.ts';
import { createWriteStallWatch } from './write-stall.ts';

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
   * Refuses new RPCs of callers with SHUTTING_DOWN; those of peers and health go on; the fallback decides by `draining`.
   * Resolves when no work of callers is running, or after the time, whichever is first: true when nothing runs.
   */
  drain(timeoutMs: number): Promise<boolean>;
  /** Aborts what runs with SHUTTING_DOWN, gives it a moment to say so, and cuts every connection. */
  close(): Promise<void>;
}

/** The port is taken or not ours to take; another start may find it free. */
export class PortUnavailable extends Error {
  override readonly name = 'PortUnavailable';
}

/** How long aborted handlers have to send their last words, in milliseconds. */
const CLOSE_GRACE_MS = 1_000;

/** How often stalled writes and late bodies are looked for, in milliseconds. */
const CHECK_INTERVAL_MS = 1_000;

/**
 * Listens.
 *
 * @throws PortUnavailable, or Error naming the methods that have no entry in the authorization table.
 */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { authorizer, log, idleWriteMs = 30_000 } = options;
  const shutdown = new AbortController();
  // Every running call listens to it.
  setMaxListeners(0, shutdown.signal);
  const exchanges = new Set<Exchange>();
  const sockets = new Set<Socket>();
  const waiting = new Set<() => void>();
  let draining = false;

  const rpc = createRpcHandler({
    routes: [...options.routes, options.health.routes, reflectionRoutes(() => rpc.services)],
    gate,
    interceptors: [
      createErrorInterceptor(createErrorMapper(log)),
      ...(options.interceptors ?? []),
      validateInterceptor,
    ],
    shutdownSignal: shutdown.signal,
    log,
  });
  const open = authorizer.withoutEntry(rpc.methods);
  if (open.length > 0) throw new Error(`methods without an entry in the authorization table: ${open.join(', ')}`);

  async function gate(context: HandlerContext): Promise<void> {
    await authorizer.gate(context);
    if (isOpenService(context.service.typeName) || context.values.get(principalKey) === PEER_PRINCIPAL) return;
    if (draining) throw toConnectError(shuttingDown());
    const exchange = context.values.get(exchangeKey);
    if (exchange) exchange.isWork = true;
  }

  function onLeave(): void {
    for (const look of waiting) look();
  }

  const stalls = createWriteStallWatch(idleWriteMs);
  const handler = createRequestHandler({
    rpc,
    fallback: options.fallback,
    cors: createCors(options.corsOrigins ?? ['*']),
    clientIp: createClientIp(options.trustedProxies ?? []),
    stalls,
    exchanges,
    onLeave,
    isDraining: () => draining,
    log,
  });
  const http1 = createHttp1Server(handler);
  const http2 = createHttp2Server(handler, log, onLeave);
  const timer = setInterval(check, Math.min(CHECK_INTERVAL_MS, idleWriteMs / 4));

  function check(): void {
    const nowMs = performance.now();
    stalls.check(nowMs);
    for (const exchange of exchanges) cutLateBody(exchange, nowMs);
  }

  function onConnection(socket: Socket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', (error) => log.debug({ err: error }, 'a connection failed'));
    const servers = {
      http1: (ready: Socket) => http1.emit('connection', ready),
      http2: (ready: Socket) => {
        // An HTTP/2 session has no use for a half-open connection; HTTP/1.1 clients may end their side after the request.
        ready.allowHalfOpen = false;
        http2.server.emit('connection', ready);
      },
    };
    routeByPreface(socket, servers, FIRST_BYTES_TIMEOUT_MS);
  }

  /** Resolves to whether the condition came to hold within the time. */
  function until(holds: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (held: boolean) => {
        clearTimeout(late);
        waiting.delete(look);
        resolve(held);
      };
      const late = setTimeout(() => settle(false), timeoutMs);
      const look = () => {
        if (holds()) settle(true);
      };
      waiting.add(look);
      look();
    });
  }

  const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, onConnection);
  try {
    await listen(server, options.host, options.port);
  } catch (error) {
    clearInterval(timer);
    http1.close();
    throw error;
  }
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : options.port;
  const { host } = options;

  async function close(): Promise<void> {
    draining = true;
    const closed = new Promise((resolve) => server.close(resolve));
    shutdown.abort(toConnectError(shuttingDown()));
    for (const session of http2.sessions) session.close();
    // A session that is closing ends by itself once its last frames are sent.
    await until(() => exchanges.size === 0 && http2.sessions.size === 0, CLOSE_GRACE_MS);
    clearInterval(timer);
    http1.close();
    for (const session of http2.sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  let closing: Promise<void> | undefined;
  return {
    host,
    port,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    get draining() {
      return draining;
    },
    drain(timeoutMs) {
      draining = true;
      return until(() => ![...exchanges].some((exchange) => exchange.isWork), timeoutMs);
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function shuttingDown(): MeshError {
  return new MeshError('SHUTTING_DOWN', 'This process is shutting down. Try again.', { retryAfterMs: 1_000 });
}

const TAKEN: ReadonlySet<unknown> = new Set(['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL']);

function listen(server: net.Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const code = 'code' in error ? error.code : undefined;
      const message = `cannot listen on ${host}:${port} (${String(code)})`;
      reject(TAKEN.has(code) ? new PortUnavailable(message, { cause: error }) : error);
    });
    server.listen({ host, port }, resolve);
  });
}
