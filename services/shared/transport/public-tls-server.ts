import type { Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { PUBLIC_TLS_PROTOCOL, TLS_HANDSHAKE_TIMEOUT_MS } from './limits.ts';
import type { PublicTls } from './public-tls.ts';

/** Who takes a connection over after its handshake. */
export interface NegotiatedServers {
  http1(socket: TLSSocket): void;
  http2(socket: TLSSocket): void;
}

/**
 * Makes what does the handshake on connections of callers: HTTP/2 for those that offer it, else HTTP/1.1. No certificate is
 * asked of them.
 */
export function createPublicTlsServer(
  publicTls: PublicTls,
  log: Logger,
  servers: NegotiatedServers,
): (socket: Socket) => void {
  const context = () => ({ ...PUBLIC_TLS_PROTOCOL, ...publicTls.credentials });
  const server = tls.createServer({ ...context(), handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS }, (socket) => {
    socket.on('error', (error) => {
      // Node leaves the connection under it open.
      socket.destroy();
      log.debug({ err: error }, 'a connection failed');
    });
    if (socket.alpnProtocol === 'h2') return servers.http2(socket);
    servers.http1(socket);
    // With such a listener Node reads the connection as a stream. Else its parser reads it by itself, goes on over TLS when it is
    // told to pause, as it is for a request that comes before the last of a long answer has left, and fails (HPE_PAUSED).
    socket.on('data', () => {});
  });
  publicTls.onChange(() => server.setSecureContext(context()));
  server.on('tlsClientError', (error, socket) => {
    // Whoever scans the port would fill the log.
    log.debug({ err: error }, 'a handshake failed');
    // Where it took too long, Node only says so and leaves the connection open.
    socket.destroy();
  });
  return (socket) => {
    socket.allowHalfOpen = false;
    server.emit('connection', socket);
  };
}
