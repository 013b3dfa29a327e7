import type { Socket } from 'node:net';
import { getExtensionData, readTlsClientHello } from 'read-tls-client-hello';
import { TLS_HANDSHAKE_TIMEOUT_MS } from './limits.ts';
import { identityName } from './mesh-identity.ts';
import { ROLES } from './roles.ts';

/** Takes over a connection on which a TLS handshake begins. */
type TakeTls = (socket: Socket) => void;

/**
 * Makes what tells processes of the mesh, who must show a certificate, from callers, who are not asked for one: processes dial
 * the name of a role (`router.mesh`), never `facade.mesh`, which nobody calls. Who asks for the wrong name gets the other
 * certificate and nothing else.
 *
 * @param domain what stands behind the role in the names of certificates
 */
export function routeByServerName(domain: string, peers: TakeTls, callers: TakeTls): TakeTls {
  const names = new Set(ROLES.filter((role) => role !== 'facade').map((role) => identityName(role, domain)));
  return (socket) => {
    const timer = setTimeout(() => socket.destroy(), TLS_HANDSHAKE_TIMEOUT_MS);
    socket.on('close', () => clearTimeout(timer));
    serverNameOf(socket).then((name) => {
      clearTimeout(timer);
      if (socket.destroyed) return;
      if (name !== undefined && names.has(name.toLowerCase())) peers(socket);
      else callers(socket);
    });
  };
}

/** The name that a client asks for; its bytes stay on the connection. What cannot be read is left to the handshake. */
async function serverNameOf(socket: Socket): Promise<string | undefined> {
  try {
    const hello = await readTlsClientHello(socket);
    return getExtensionData(hello, 'server_name')?.serverName;
  } catch {
    return undefined;
  }
}
