import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { TLS_PROTOCOL } from './limits.ts';
import { identityName, namesRole } from './mesh-identity.ts';
import type { MeshTls } from './mesh-tls.ts';
import type { Role } from './roles.ts';
import { tlsFailureOf } from './tls-failure.ts';

/** Whom a connection is to, and how both prove themselves. */
export interface PeerTls {
  readonly meshTls: MeshTls;
  /** What the other side must be by its certificate, whatever its address is. */
  readonly role: Role;
  readonly log: Logger;
}

/**
 * Makes what opens connections to a process of the mesh, always by TLS, on `tcp` where that is connected already. Each starts
 * anew with the present certificate: nothing of an earlier session is taken up, so nobody is believed for what was checked
 * before.
 */
export function createTlsConnector(url: string, { meshTls, role, log }: PeerTls): (tcp?: Socket) => TLSSocket {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  let reported: string | undefined;

  return (tcp) => {
    const socket = tls.connect({
      ...TLS_PROTOCOL,
      ...meshTls.credentials,
      ...(tcp ? { socket: tcp } : { host, port: Number(port || 443) }),
      // Of the role and never of the address, which others may choose.
      servername: identityName(role, meshTls.domain),
      checkServerIdentity: (_host, { raw }) =>
        namesRole(new X509Certificate(raw), role, meshTls.domain) ? undefined : notNamed(role),
    });
    socket.once('secureConnect', () => {
      reported = undefined;
    });
    socket.on('error', (error) => {
      // An alert ends the HTTP/2 session; Node leaves the connection under it open.
      socket.destroy();
      const failure = tlsFailureOf(error);
      // Calls are tried again and again; one line says it.
      if (!failure || failure.code === reported) return;
      reported = failure.code;
      log.error({ peer: role, address: url, code: failure.code }, `${role} is not trusted: ${failure.advice}`);
    });
    return socket;
  };
}

/** Callers are told that it is the certificates; the log says what about them. */
export function explainTls({ role }: PeerTls): Interceptor {
  return (next) => async (req) => {
    try {
      return await next(req);
    } catch (error) {
      if (!tlsFailureOf(error)) throw error;
      throw toConnectError(notTrusted(role, error));
    }
  };
}

/** What callers are told when the two sides do not trust each other. */
export function notTrusted(role: Role, cause: unknown): MeshError {
  const message = `${role} and this process do not trust each other's certificates; the operator finds why in the log.`;
  return new MeshError('PEER_UNAVAILABLE', message, { metadata: { peer: role }, cause });
}

function notNamed(role: Role): Error {
  return Object.assign(new Error(`the certificate does not name ${role}`), { code: 'ERR_MESH_IDENTITY' });
}
