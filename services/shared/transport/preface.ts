import type { Socket } from 'node:net';

/** What every HTTP/2 connection starts with. No HTTP/1.1 request does. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Who takes a connection over once its protocol is known. */
export interface ProtocolServers {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
  /** Unset: its first bytes are taken for a malformed request of HTTP/1.1. */
  readonly tls?: ((socket: Socket) => void) | undefined;
}

/** The first byte of every TLS handshake, and of no request. */
const TLS_HANDSHAKE = 0x16;

/**
 * Reads the first bytes of a connection, however short the pieces are that they come in, puts them back and hands the
 * connection over. One that says nothing for `timeoutMs` is destroyed.
 */
export function routeByPreface(socket: Socket, servers: ProtocolServers, timeoutMs: number): void {
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  let seen: Buffer = Buffer.alloc(0);

  function onReadable(): void {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const isTls = servers.tls !== undefined && seen[0] === TLS_HANDSHAKE;
    const compared = Math.min(seen.length, PREFACE.length);
    const isHttp2 = seen.subarray(0, compared).equals(PREFACE.subarray(0, compared));
    if (isHttp2 && compared < PREFACE.length) return;
    stop();
    socket.unshift(seen);
    if (isTls) servers.tls?.(socket);
    else if (isHttp2) servers.http2(socket);
    else servers.http1(socket);
  }

  function onEnd(): void {
    stop();
    socket.destroy();
  }

  function stop(): void {
    clearTimeout(timer);
    socket.off('readable', onReadable).off('end', onEnd).off('close', stop);
  }

  socket.on('readable', onReadable).on('end', onEnd).on('close', stop);
}
