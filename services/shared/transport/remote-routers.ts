import type { Client } from '@connectrpc/connect';
import { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { createMeshClient } from './client.ts';
import type { RemoteNodesOptions } from './remote-nodes.ts';
import { createRemoteTransport, type RemoteTransport } from './remote-transport.ts';

/** The way to a router. */
export interface RemoteRouter {
  /** Where it is told about nodes. */
  readonly registry: Client<typeof RegistryService>;
  /** Ends the connection. */
  close(): void;
}

/** The routers in other processes, by their address, e.g. "http://10.0.0.5:7003". */
export interface RemoteRouters {
  /** Opens a connection of its own at the first call. */
  registryAt(address: string): RemoteRouter;
  /** Ends the connections. */
  close(): void;
}

/** Makes the way to routers in other processes. */
export function createRemoteRouters({ meshToken, meshTls, log }: RemoteNodesOptions): RemoteRouters {
  const transports = new Set<RemoteTransport>();
  return {
    registryAt(address) {
      const tls = meshTls && ({ meshTls, role: 'router', log } as const);
      const transport = createRemoteTransport(address, { meshToken, tls });
      transports.add(transport);
      return {
        registry: createMeshClient(RegistryService, transport),
        close() {
          transports.delete(transport);
          transport.close();
        },
      };
    },
    close() {
      for (const transport of transports) transport.close();
    },
  };
}
