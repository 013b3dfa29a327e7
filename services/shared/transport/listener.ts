import { setMaxListeners } from 'node:events';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createRegistry, type DescMethod, type Registry } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { toConnectError } from '../errors/connect-error.ts';
import { MeshError, shuttingDown } from '../errors/mesh-error.ts';
import type { HealthState } from '../grpc/health.ts';
import { reflectionRoutes } from '../grpc/reflection.ts';
import { type Authorizer, isOpenService } from '../interceptors/authorize.ts';
import { certifiedRolesKey } from '../interceptors/certified-roles.ts';
import { createClientIp, createTrust } from '../interceptors/client-ip.ts';
import { createErrorInterceptor, createErrorMapper, type ErrorMapper } from '../interceptors/errors.ts';
import type { HttpsRule } from '../interceptors/https-rule.ts';
import { noteAnswers } from '../interceptors/noted-answers.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { completeFailures } from '../interceptors/protocol-failure.ts';
import { concerns, type Revocation } from '../interceptors/revocation.ts';
import { serveTraced } from '../interceptors/trace-served.ts';
import { validateInterceptor, warmValidator } from '../interceptors/validate.ts';
import { Roster } from '../lifecycle/roster.ts';
import { NO_REQUEST_LOG, type RequestLog } from '../observability/request-log.ts';
import { createChanges } from './changes.ts';
import { createCors } from './cors.ts';
import { type Exchange, exchangeKey, type FallbackHandler, type NodeRequest } from './exchange.ts';
import { createHostRule } from './host-rule.ts';
import { createHttpServers } from './http-servers.ts';
import { BODY_TIMEOUT_MS, HTTP1_LIMITS } from './limits.ts';
import { notedGate } from './logged-request.ts';
import { isLoopbackHost } from './loopback.ts';
import { nodeHeaderLookup } from './mesh-headers.ts';
import type { MeshTls } from './mesh-tls.ts';
import type { PublicTls } from './public-tls.ts';
import { createRequestHandler, cutLateBody } from './request-handler.ts';
import type { Routes } from './routes.ts';
import { createRpcHandler, type RpcHandler } from './rpc-handler.ts';
import { SESSION_LIFETIME, type SessionLifetime } from './session-lifetime.ts';
import { isTrunk } from './trunk/trunk-method.ts';
import { Untold } from './untold.ts';
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
  /** Where requests of callers are noted. Unset: nowhere. */
  readonly requestLog?: RequestLog | undefined;
  /** The facade. Unset: 404. */
  readonly fallback?: FallbackHandler | undefined;
  /** Origins whose scripts may call; default `['*']`. */
  readonly corsOrigins?: readonly string[];
  /** Addresses and CIDR ranges of proxies besides loopback whose X-Forwarded-For is believed. */
  readonly trustedProxies?: readonly string[];
  /** Which RPCs of callers are refused because they came over HTTP; default none. The fallback decides for itself. */
  readonly httpsRule?: HttpsRule | undefined;
  /** Whether only processes of the mesh use the port: its limits are then those of trusted clients. Default false. */
  readonly isForPeers?: boolean;
  /** How processes of the mesh prove themselves here. With it a port that only they use takes nothing but TLS. */
  readonly meshTls?: MeshTls | undefined;
  /** What callers are shown over TLS, HTTP/2 or HTTP/1.1 by ALPN; closed with the listener. Unset: they have no TLS. */
  readonly publicTls?: PublicTls | undefined;
  /** Names by which callers may address the port; see createHostRule. */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Whether other processes of the same user listen on the port too, among whom the system spreads connections. Default false. */
  readonly isShared?: boolean;
  /** Connections at a time; more are closed at once. Default: as many as the system lets be. */
  readonly maxConnections?: number;
  /** How long a client may leave a response unread, in milliseconds; default 30,000. */
  readonly idleWriteMs?: number;
  /** The time for a request's body, in milliseconds; default 30,000. */
  readonly bodyTimeoutMs?: number;
  /** The largest message of a client, in bytes, after decompression; default 16 MiB. */
  readonly readMaxBytes?: number | undefined;
  /** Messages that JSON may carry in a google.protobuf.Any, besides the details of errors; default none. */
  readonly anyTypes?: Registry;
  /** What errors of handlers become; default those of mesh.errors.v1, which tell nothing of any other. */
  readonly mapErrors?: ErrorMapper;
  /** How long a connection of HTTP/2 on which nothing runs may be silent, in milliseconds; default 65,000. Not one of peers. */
  readonly idleSessionMs?: number;
  /** How long connections of HTTP/2 live, besides; not those of peers. Default SESSION_LIFETIME. */
  readonly lifetime?: SessionLifetime;
}

/** One port that answers HTTP/1.1, HTTP/2, gRPC, gRPC-Web and Connect, without TLS and with it. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /** E.g. "http://127.0.0.1:8000"; with https where callers have TLS, or nothing else is taken. */
  readonly url: string;
  /** Whether callers are told to go elsewhere. */
  readonly leaving: boolean;
  /** Whether new work is refused. */
  readonly draining: boolean;
  /** Whether this request is, if it is new work: not where its client could not be told to go elsewhere. */
  refuses(request: NodeRequest): boolean;
  /**
   * Tells callers to open their next calls on other connections, in each answer of HTTP/1.1 and by GOAWAY; what they ask until
   * then is done as before. Resolves after the time, by when nobody sends new connections here.
   */
  leave(forMs: number): Promise<void>;
  /**
   * Refuses new RPCs of callers with SHUTTING_DOWN; those of peers and health go on, and so does what comes by a port of peers; the
   * fallback decides by `draining`. Callers are told to leave their connections, on a port of peers all are, and their watches end.
   * Resolves when no work of callers is running, or after the time, whichever is first: true when nothing runs. A watch is
   * no work: a stream of the server without side effects, as its contract says (`idempotency_level`).
   */
  drain(timeoutMs: number): Promise<boolean>;
  /** Aborts RPCs that are work of callers with SHUTTING_DOWN and gives them a moment to say so; watches and peers go on. */
  endWork(): Promise<void>;
  /** Aborts streams that a revocation is about with CREDENTIAL_INVALID; generations are the router's to end. */
  cut(revocation: Revocation): void;
  /**
   * Sends peers to another process of the role. Resolves to true when none is here any more; to false after the time, when some have
   * no other and still need this one.
   */
  peersGone(timeoutMs: number, farewell?: PeerFarewell): Promise<boolean>;
  /** Aborts what runs with SHUTTING_DOWN, gives it a moment to say so, and cuts every connection. */
  close(): Promise<void>;
}

/** The port is taken or not ours to take; another start may find it free. */
export class PortUnavailable extends Error {
  override readonly name = 'PortUnavailable';
}

/** How long aborted handlers have to send their last words, in milliseconds. */
const CLOSE_GRACE_MS = 1_000;

/** Where proxies on this machine connect from. */
const PROXIES_HERE = ['127.0.0.1', '::1'];

/** How peers are sent away. */
export interface PeerFarewell {
  /** Who stops too has this time to go by itself before those that stay are sent away, in milliseconds. */
  readonly stopMs: number;
  /** In this time a peer that was sent away and found no other process is back, on a busy machine too, in milliseconds. */
  readonly returnMs: number;
  /** So much later who came back is sent away again: a balancer may have heard late that this process leaves. In milliseconds. */
  readonly againMs: number;
}

const FAREWELL: PeerFarewell = { stopMs: 1_000, returnMs: 2_000, againMs: 5_000 };

/** How long who could not be told to go elsewhere has to send the next request, once all answers are over, in milliseconds. */
const NEXT_REQUEST_MS = 1_000;

/** How often stalled writes and late bodies are looked for, in milliseconds. */
const CHECK_INTERVAL_MS = 1_000;

/** What the parts of one listener share. */
interface State {
  readonly exchanges: Roster<Exchange>;
  /** Aborts what runs. */
  readonly shutdown: AbortController;
  leaving: boolean;
  draining: boolean;
  readonly untold: Untold;
}

/**
 * Listens.
 *
 * @throws PortUnavailable, or Error naming the methods that have no entry in the authorization table.
 */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { host, idleWriteMs = 30_000, bodyTimeoutMs = BODY_TIMEOUT_MS } = options;
  const state: State = {
    exchanges: new Roster(),
    shutdown: new AbortController(),
    leaving: false,
    draining: false,
    untold: new Untold(),
  };
  const changes = createChanges();
  const stalls = createWriteStallWatch(idleWriteMs);
  const handler = createRequestHandler({
    rpc: createRpc(options, state),
    fallback: options.fallback,
    cors: createCors(options.corsOrigins ?? ['*']),
    clientIp: createClientIp(options.trustedProxies ?? []),
    isPlainRefused: plainRefusal(options),
    hostRule: createHostRule(isLoopbackHost(host), options.allowedHosts),
    stalls,
    bodyTimeoutMs,
    exchanges: state.exchanges,
    onLeave: changes.notify,
    isLeaving: () => state.leaving || state.draining,
    log: options.log,
    requestLog: options.requestLog ?? NO_REQUEST_LOG,
  });
  const { isForPeers = false, meshTls, publicTls, log, idleSessionMs = HTTP1_LIMITS.keepAliveTimeout } = options;
  const isSharedAddress = createTrust([...PROXIES_HERE, ...(options.trustedProxies ?? [])]);
  const { lifetime = SESSION_LIFETIME } = options;
  const settings = { bodyTimeoutMs, idleSessionMs, lifetime, isSharedAddress, isForPeers, meshTls, publicTls };
  const servers = createHttpServers(handler, settings, log, changes.notify);
  const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, servers.accept);
  if (options.maxConnections !== undefined) server.maxConnections = options.maxConnections;
  const port = await listen(server, { host, port: options.port, reusePort: options.isShared ?? false }).catch(
    (error: unknown) => {
      servers.destroy();
      throw error;
    },
  );
  // E.g. no file descriptor left for a new connection; those that are open go on.
  server.on('error', (error) => options.log.error({ err: error }, 'could not accept a connection'));
  server.on('drop', () => options.log.debug('closed a connection: there are max_connections'));
  const timer = setInterval(check, Math.min(CHECK_INTERVAL_MS, idleWriteMs / 4));

  function check(): void {
    const nowMs = performance.now();
    stalls.check(nowMs);
    for (const exchange of state.exchanges) cutLateBody(exchange, nowMs);
  }

  async function close(): Promise<void> {
    state.draining = true;
    const closed = new Promise((resolve) => server.close(resolve));
    if (isForPeers) await finishCalls();
    state.shutdown.abort(toConnectError(shuttingDown()));
    servers.closeSessions();
    // A session that is closing ends by itself once its last frames are sent.
    await changes.until(() => state.exchanges.size === 0 && servers.sessionCount === 0, CLOSE_GRACE_MS);
    clearInterval(timer);
    options.publicTls?.close();
    servers.destroy();
    await closed;
  }

  /** To another process of the role, where there is one; else they are back at once: peers that stop too may still settle what they ran. */
  function sendPeersAway(): void {
    servers.retirePeers();
    for (const { isPeerWatch, abort } of state.exchanges) if (isPeerWatch) abort?.(toConnectError(shuttingDown()));
  }

  /** What a peer has asked is answered: cut off, it would be unknown whether it was done. */
  async function finishCalls(): Promise<void> {
    sendPeersAway();
    await changes.until(() => state.exchanges.size === 0, CLOSE_GRACE_MS);
  }

  const work = () => [...state.exchanges].filter(({ isWork }) => isWork);

  let closing: Promise<void> | undefined;
  return {
    host,
    port,
    url: `${publicTls || (isForPeers && meshTls) ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    get leaving() {
      return state.leaving || state.draining;
    },
    get draining() {
      return state.draining;
    },
    refuses: (request) => refuses(state, request),
    async leave(forMs) {
      state.leaving = true;
      servers.retireSessions();
      await delay(forMs);
    },
    async drain(timeoutMs) {
      const endsAtMs = performance.now() + timeoutMs;
      if (!state.draining) for (const { request } of state.exchanges) state.untold.add(request, changes.notify);
      state.draining = true;
      servers.retireSessions();
      for (const { onDrain } of state.exchanges) onDrain?.();
      const isIdle = () => work().length === 0;
      for (;;) {
        if (!(await changes.until(isIdle, endsAtMs - performance.now()))) return false;
        await changes.until(() => state.untold.size === 0, Math.min(NEXT_REQUEST_MS, endsAtMs - performance.now()));
        if (isIdle()) return true;
      }
    },
    async endWork() {
      for (const { abort } of work()) abort?.(toConnectError(shuttingDown()));
      await changes.until(() => work().length === 0, CLOSE_GRACE_MS);
    },
    cut(revocation) {
      for (const { streamOf, abort } of state.exchanges) {
        if (streamOf && concerns(revocation, streamOf)) abort?.(toConnectError(revoked()));
      }
    },
    async peersGone(timeoutMs, { stopMs, returnMs, againMs } = FAREWELL) {
      const endsAtMs = performance.now() + timeoutMs;
      const within = (limitMs: number) => Math.max(0, Math.min(limitMs, endsAtMs - performance.now()));
      const areGone = () => servers.sessionCount === 0;
      let isAlone = await changes.until(areGone, within(stopMs));
      while (!isAlone && within(1) > 0) {
        sendPeersAway();
        // Who has no other process is away for a moment too.
        await delay(within(returnMs));
        isAlone = await changes.until(areGone, within(againMs));
      }
      return isAlone;
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/** The RPC side: authorization before the body is read, then error mapping, then validation, then the handler. */
function createRpc(options: ListenerOptions, state: State): RpcHandler {
  const { authorizer, log, mapErrors = createErrorMapper(log) } = options;
  // Every running call listens to it.
  setMaxListeners(0, state.shutdown.signal);

  async function gate(context: HandlerContext): Promise<void> {
    completeFailures(context, mapErrors);
    await notedGate(authorizer, context);
    if (isOpenService(context.service.typeName)) return;
    const exchange = context.values.get(exchangeKey);
    const principal = context.values.get(principalKey);
    if (exchange && principal && context.method.methodKind !== 'unary') exchange.streamOf = principal;
    const isFromPeer = principal === PEER_PRINCIPAL;
    // On a port of peers callers are those for whom a peer asks, on a connection that it is about to leave.
    const isRefused = isTrunk(context.method) || !(isFromPeer || options.isForPeers);
    if (isRefused && exchange && refuses(state, exchange.request)) throw toConnectError(shuttingDown());
    // A peer's generation is a caller's in the end; what else peers do is not waited for and never refused. A trunk is work
    // by itself, while something runs on it.
    const isOfCaller = !isFromPeer || context.method.input.typeName === GenerateRequestSchema.typeName;
    if (!exchange) return;
    if (isOfCaller) exchange.isWork = !isWatch(context.method);
    // What processes of the mesh follow for themselves they begin again elsewhere.
    else exchange.isPeerWatch = context.method.methodKind === 'server_streaming';
  }

  const traced = serveTraced(gate, ({ requestHeader, values }) =>
    authorizer.isFromPeer(requestHeader, values.get(certifiedRolesKey)),
  );
  const rpc: RpcHandler = createRpcHandler({
    routes: [...options.routes, options.health.routes, reflectionRoutes(() => rpc.services)],
    gate: traced.gate,
    interceptors: [createErrorInterceptor(mapErrors), noteAnswers, ...traced.interceptors, validateInterceptor],
    readMaxBytes: options.readMaxBytes,
    anyTypes: options.anyTypes ?? createRegistry(),
    shutdownSignal: state.shutdown.signal,
    log,
  });
  const open = authorizer.withoutEntry(rpc.methods);
  if (open.length > 0) throw new Error(`methods without an entry in the authorization table: ${open.join(', ')}`);
  warmValidator(rpc.methods.map((method) => method.input));
  return rpc;
}

/** Processes of the mesh are no callers: what protects their connections is said elsewhere. */
function plainRefusal({ httpsRule, authorizer }: ListenerOptions): HttpsRule {
  if (!httpsRule) return () => false;
  return (request) => httpsRule(request) && !authorizer.isFromPeer(nodeHeaderLookup(request.headers), undefined);
}

function refuses({ draining, untold }: State, request: NodeRequest): boolean {
  return draining && !untold.has(request);
}

/** Whether a call goes on until somebody ends it, and nothing is lost when it ends. */
function isWatch({ methodKind, idempotency }: DescMethod): boolean {
  return methodKind === 'server_streaming' && idempotency === IdempotencyLevel.NO_SIDE_EFFECTS;
}

function revoked(): MeshError {
  return new MeshError('CREDENTIAL_INVALID', 'The credential was revoked.');
}

const TAKEN: ReadonlySet<unknown> = new Set(['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL']);

/** Resolves to the port. */
function listen(server: net.Server, at: { host: string; port: number; reusePort: boolean }): Promise<number> {
  const { host, port } = at;
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => {
      const code = 'code' in error ? error.code : undefined;
      const message = `cannot listen on ${host}:${port} (${String(code)})`;
      reject(TAKEN.has(code) ? new PortUnavailable(message, { cause: error }) : error);
    };
    server.once('error', onError);
    // Exclusive: a worker of node:cluster shares nothing else.
    server.listen({ ...at, exclusive: true }, () => {
      server.off('error', onError);
      const address = server.address();
      resolve(address !== null && typeof address === 'object' ? address.port : port);
    });
  });
}
