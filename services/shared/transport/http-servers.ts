import http2, { type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { RequestHandler } from './exchange.ts';
import { createFloodGuard } from './flood-guard.ts';
import { createHttp1Server } from './http1-server.ts';
import { endWhenIdle } from './idle-session.ts';
import { FIRST_BYTES_TIMEOUT_MS, HTTP2_LIMITS, HTTP2_PEER_LIMITS, MAX_HEADERS } from './limits.ts';
import type { MeshTls } from './mesh-tls.ts';
import { type ProtocolServers, routeByPreface } from './preface.ts';
import type { PublicTls } from './public-tls.ts';
import { createPublicTlsServer } from './public-tls-server.ts';
import { routeByServerName } from './server-name.ts';
import { limitLifetime, retire, type SessionLifetime } from './session-lifetime.ts';
import { createTlsServer, type TlsServer } from './tls-server.ts';

/**
 * How long a process of the mesh has to say that it has heard where to call, in milliseconds. A client of Connect that has ended its last
 * call says nothing more.
 */
const PEER_ANSWER_MS = 1_000;

/** What the servers of a port are made of. */
export interface HttpServersOptions {
  /** From the first byte of a request to its last, over HTTP/1.1, in milliseconds; Node answers 408. */
  readonly bodyTimeoutMs: number;
  /** How long a connection of HTTP/2 on which nothing runs may be silent, in milliseconds; not one of peers. */
  readonly idleSessionMs: number;
  /** How long connections of callers by HTTP/2 live. */
  readonly lifetime: SessionLifetime;
  /** Whether a proxy, and with it many clients, may be at an address. */
  readonly isSharedAddress: (address: string) => boolean;
  /** Whether only processes of the mesh use the port. */
  readonly isForPeers: boolean;
  /** How processes of the mesh prove themselves here. With it a port that only they use takes nothing but TLS. */
  readonly meshTls: MeshTls | undefined;
  /** What callers are shown over TLS. Unset: only processes of the mesh speak it. */
  readonly publicTls: PublicTls | undefined;
}

/** The servers behind one port, with all their connections. */
export interface HttpServers {
  /** Takes a new connection of either protocol. */
  accept(socket: Socket): void;
  /** How many HTTP/2 sessions are alive; Node's own close() leaves them alone. */
  readonly sessionCount: number;
  /** Tells callers by HTTP/2 to open their next calls on other connections, and those who connect from now on after their first. */
  retireSessions(): void;
  /** Has processes of the mesh, which have the port to themselves, open their next calls on other connections. */
  retirePeers(): void;
  /** Lets HTTP/2 sessions end after their running streams. */
  closeSessions(): void;
  /** Cuts every connection. */
  destroy(): void;
}

/**
 * Makes the servers. A connection, session or stream may fail without harm to the process.
 *
 * @param onLeave is called after a connection or an HTTP/2 session has ended
 */
export function createHttpServers(
  handler: RequestHandler,
  { bodyTimeoutMs, idleSessionMs, lifetime, isSharedAddress, isForPeers, meshTls, publicTls }: HttpServersOptions,
  log: Logger,
  onLeave: () => void,
): HttpServers {
  const http1 = createHttp1Server(handler, bodyTimeoutMs, log);
  const sessions = new Set<ServerHttp2Session>();
  const callers = new Set<ServerHttp2Session>();
  let isRetiring = false;
  const onFlood = (address: string) => log.warn({ address }, 'ended a connection of HTTP/2 that did nothing but cost');
  const floods = createFloodGuard({ isShared: isSharedAddress, onFlood, nowMs: () => performance.now() });
  const http2Server = createHttp2Server(handler, isForPeers);
  // One connection of a process of the mesh carries all that its callers do and leave.
  if (!isForPeers) {
    http2Server.on('session', (session) => {
      floods.watch(session);
      endWhenIdle(session, idleSessionMs);
      limitLifetime(session, lifetime);
      callers.add(session);
      session.on('close', () => callers.delete(session));
      session.on('stream', () => {
        if (isRetiring) retire(session);
      });
    });
  }
  watchHttp2(http2Server, log, sessions, onLeave);
  const sockets = new Set<Socket>();
  const plain = {
    http1: (socket: Socket) => http1.emit('connection', socket),
    http2: (socket: Socket) => {
      // An HTTP/2 session has no use for a half-open connection; Node's server of HTTP/1.1 ends the other half itself.
      socket.allowHalfOpen = false;
      http2Server.emit('connection', socket);
    },
  };
  const peers = meshTls && createPeerServer(meshTls);
  const publicServer = publicTls && createPublicTlsServer(publicTls, log, plain);
  const servers: ProtocolServers =
    isForPeers && peers
      ? { tls: peers.take, http1: peers.refusePlain, http2: peers.refusePlain }
      : {
          ...plain,
          tls:
            peers && publicServer
              ? routeByServerName(peers.domain, peers.take, publicServer)
              : (peers?.take ?? publicServer),
        };

  function createPeerServer(tls: MeshTls): TlsServer & Pick<MeshTls, 'domain'> {
    const peerServer = createHttp2Server(handler, true);
    watchHttp2(peerServer, log, sessions, onLeave);
    const accept = (socket: Socket) => peerServer.emit('connection', socket);
    return { ...createTlsServer(tls, log, accept), domain: tls.domain };
  }

  return {
    accept(socket) {
      if (floods.refuses(socket.remoteAddress)) return void socket.destroy();
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        onLeave();
      });
      socket.on('error', (error) => log.debug({ err: error }, 'a connection failed'));
      routeByPreface(socket, servers, FIRST_BYTES_TIMEOUT_MS);
    },
    get sessionCount() {
      return sessions.size;
    },
    retireSessions() {
      isRetiring = true;
      for (const session of callers) retire(session);
    },
    retirePeers() {
      for (const session of sessions) retire(session, PEER_ANSWER_MS);
    },
    closeSessions() {
      for (const session of sessions) session.close();
    },
    destroy() {
      // It never listened; this stops its checks.
      http1.close();
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function createHttp2Server(handler: RequestHandler, isForPeers: boolean): Http2Server {
  const limits = isForPeers ? HTTP2_PEER_LIMITS : HTTP2_LIMITS;
  const server = http2.createServer({ ...limits, maxHeaderListPairs: MAX_HEADERS }, handler);
  return server.on('checkContinue', handler).on('checkExpectation', handler);
}

/** Keeps the sessions in `sessions`; the failure of one, or of a stream, harms nothing else. */
function watchHttp2(server: Http2Server, log: Logger, sessions: Set<ServerHttp2Session>, onLeave: () => void): void {
  const onError = (error: Error) => log.debug({ err: error }, 'an HTTP/2 connection failed');
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', onError);
    session.on('close', () => {
      sessions.delete(session);
      onLeave();
    });
  });
  server.on('stream', (stream) => stream.on('error', onError));
  server.on('sessionError', onError);
}
