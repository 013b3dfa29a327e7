import type { Client } from '@connectrpc/connect';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { createMeshClient } from './client.ts';
import type { Generate } from './generate.ts';
import type { PeersOptions } from './peers.ts';
import { remoteGenerate } from './remote-generate.ts';
import { createRemoteTransport } from './remote-transport.ts';

/** The nodes in other processes, by their address, e.g. "http://10.0.0.7:7004". One connection per address, kept. */
export interface RemoteNodes {
  /** The seam to the engines of a node. */
  generateAt(address: string): Generate;
  /** The other methods of a node. */
  clientAt(address: string): Client<typeof InferenceService>;
  /** Ends the connections and what runs on them. */
  close(): void;
}

/** What nodes are reached with; as for peers. */
export type RemoteNodesOptions = Pick<PeersOptions, 'meshToken' | 'meshTls' | 'log'>;

interface RemoteNode {
  readonly generate: Generate;
  readonly client: Client<typeof InferenceService>;
  readonly close: () => void;
}

/** Makes the way to nodes in other processes. */
export function createRemoteNodes({ meshToken, meshTls, log }: RemoteNodesOptions): RemoteNodes {
  const nodes = new Map<string, RemoteNode>();

  function nodeAt(address: string): RemoteNode {
    const known = nodes.get(address);
    if (known) return known;
    const transport = createRemoteTransport(address, {
      meshToken,
      tls: meshTls && { meshTls, role: 'inference', log },
    });
    const node = {
      generate: remoteGenerate(transport, InferenceService.method.generate),
      client: createMeshClient(InferenceService, transport),
      close: transport.close,
    };
    nodes.set(address, node);
    return node;
  }

  return {
    generateAt: (address) => nodeAt(address).generate,
    clientAt: (address) => nodeAt(address).client,
    close() {
      for (const { close } of nodes.values()) close();
    },
  };
}
