import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Generate } from './generate.ts';
import { remoteGenerate } from './remote-generate.ts';
import { createRemoteTransport, type RemoteTransport } from './remote-transport.ts';

/** The engines of nodes in other processes. */
export interface RemoteNodes {
  /** The seam to the node at an address, e.g. "http://10.0.0.7:7004". One connection per address, kept. */
  generateAt(address: string): Generate;
  /** Ends the connections and what runs on them. */
  close(): void;
}

/** Makes the way to nodes in other processes. */
export function createRemoteNodes(meshToken: string): RemoteNodes {
  const nodes = new Map<string, { transport: RemoteTransport; generate: Generate }>();
  return {
    generateAt(address) {
      const known = nodes.get(address);
      if (known) return known.generate;
      const transport = createRemoteTransport(address, { meshToken });
      const generate = remoteGenerate(transport, InferenceService.method.generate);
      nodes.set(address, { transport, generate });
      return generate;
    },
    close() {
      for (const { transport } of nodes.values()) transport.close();
    },
  };
}
