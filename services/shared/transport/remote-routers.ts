import type { Client } from '@connectrpc/connect';
import { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { createMeshClient } from './client.ts';
import type { RemoteNodesOptions } from './remote-nodes.ts';
import { createRemoteTransport, type RemoteTransport } from './remote-transport.ts';

/** The routers in other processes, by their address, e.g. "http://10.0.0.5:7003". */
export interface RemoteRouters {
  /** Where a router is told about nodes. Opens a connection of its own at the first call. */
  registryAt(address: string): Client<typeof RegistryService>;
  /** Ends the connections. */
  close(): void;
}

/** Makes the way to routers in other processes. */
export function createRemoteRouters({ meshToken, meshTls, log }: RemoteNodesOptions): RemoteRouters {
  const transports: RemoteTransport[] = [];
  return {
    registryAt(address) {
      const tls = meshTls && ({ meshTls, role: 'router', log } as const);
      const transport = createRemoteTransport(address, { meshToken, tls });
      transports.push(transport);
      return createMeshClient(RegistryService, transport);
    },
    close() {
      for (const transport of transports) transport.close();
    },
  };
}
