import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { CertifiedRoles } from '../interceptors/certified-roles.ts';
import { TLS_HANDSHAKE_TIMEOUT_MS, TLS_PROTOCOL } from './limits.ts';
import { rolesNamed } from './mesh-identity.ts';
import type { MeshTls } from './mesh-tls.ts';
import { tlsFailure } from './tls-failure.ts';

/** The same refusal of the same address is logged once in this time, in milliseconds. */
const REPORT_EVERY_MS = 10_000;
/** Refusals that are remembered for it. */
const MAX_REPORTED = 1_024;

const rolesOfConnection = Symbol('the roles that the certificate of a connection names');

/** Takes connections of processes of the mesh over. */
export interface TlsServer {
  /** Does the handshake on a connection of which nothing is read yet. */
  take(socket: Socket): void;
  /** Ends a connection that is not TLS where nothing else is taken. */
  refusePlain(socket: Socket): void;
}

/** What the certificate of a socket names, also seen through a request of HTTP/2; undefined where there is none. */
export function certifiedRolesOf(socket: object): CertifiedRoles | undefined {
  return (socket as { [rolesOfConnection]?: CertifiedRoles })[rolesOfConnection];
}

/**
 * Makes the side that is called: every client needs a certificate of our authority that names a role, and no session is ever
 * resumed.
 */
export function createTlsServer(meshTls: MeshTls, log: Logger, accept: (socket: TLSSocket) => void): TlsServer {
  const reportedAtMs = new Map<string, number>();
  const context = () => ({
    ...TLS_PROTOCOL,
    ...meshTls.credentials,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const proof = { requestCert: true, rejectUnauthorized: true };
  const server = tls.createServer({ ...context(), ...proof, handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS }, (socket) => {
    const certificate = socket.getPeerX509Certificate();
    const roles = certificate && rolesNamed(certificate, meshTls.domain);
    if (!roles?.size) {
      report('ERR_MESH_IDENTITY', socket.remoteAddress);
      socket.destroy();
      return;
    }
    Object.assign(socket, { [rolesOfConnection]: roles });
    socket.on('error', (error) => {
      // The HTTP/2 session has ended with it; Node leaves the connection under it open.
      socket.destroy();
      log.debug({ err: error }, 'a connection failed');
    });
    accept(socket);
  });
  meshTls.onChange(() => server.setSecureContext(context()));
  server.on('tlsClientError', (error: Error & { code?: string }, socket) => {
    // Refused certificates end as a plain close; why stands on the socket.
    const code = (socket.authorizationError as Error | string | undefined) ?? error.code ?? 'unknown';
    report(String(code), socket.remoteAddress);
    // Where the handshake took too long, Node only says so and leaves the connection open.
    socket.destroy();
  });

  function report(code: string, address = 'an address that has gone'): void {
    const key = `${code} ${address}`;
    const nowMs = performance.now();
    if (nowMs - (reportedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < REPORT_EVERY_MS) return;
    if (reportedAtMs.size >= MAX_REPORTED) reportedAtMs.clear();
    reportedAtMs.set(key, nowMs);
    log.warn({ address, code }, `refused a connection: ${tlsFailure(code)?.advice ?? 'the client broke it off'}`);
  }

  return {
    take(socket) {
      socket.allowHalfOpen = false;
      server.emit('connection', socket);
    },
    refusePlain(socket) {
      report('PLAIN_TEXT', socket.remoteAddress);
      socket.destroy();
    },
  };
}
