import type { Client } from '@connectrpc/connect';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { traceCalls } from '../interceptors/trace-calls.ts';
import { createMeshClient } from './client.ts';
import type { Generate } from './generate.ts';
import type { PeersOptions } from './peers.ts';
import { createRemoteTransport } from './remote-transport.ts';
import { askedGeneration } from './rpc-generation.ts';
import { tracedGenerate } from './traced-generate.ts';
import { createTrunkClient } from './trunk/trunk-client.ts';

/** The nodes in other processes, by their address, e.g. "http://10.0.0.7:7004". Per address a trunk and a connection for the rest, kept. */
export interface RemoteNodes {
  /** The seam to the engines of a node, over its trunk. */
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
    const proof = { meshToken, tls: meshTls && { meshTls, role: 'inference' as const, log } };
    const transport = createRemoteTransport(address, { interceptors: traceCalls(address), ...proof });
    const trunk = createTrunkClient({ url: address, method: InferenceService.method.attach, ...proof });
    const node = {
      generate: tracedGenerate(trunk.generate, askedGeneration(InferenceService.method.generate, address)),
      client: createMeshClient(InferenceService, transport),
      close() {
        trunk.close();
        transport.close();
      },
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
