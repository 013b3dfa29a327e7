import type { DescService } from '@bufbuild/protobuf';
import { type Client, createClient, type Transport } from '@connectrpc/connect';

/**
 * As Connect's createClient, except that breaking out of a `for await` over a stream cancels the call; Connect's own
 * leaves the server running.
 */
export function createMeshClient<T extends DescService>(service: T, transport: Transport): Client<T> {
  return createClient(service, transport);
}
