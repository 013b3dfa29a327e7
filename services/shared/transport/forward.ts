import type { DescMethod } from '@bufbuild/protobuf';
import type { ConnectRouter, Transport } from '@connectrpc/connect';

/**
 * Registers methods that live elsewhere: each call goes to the peer with its caller's credential, address and request id, is
 * authorized again there, and comes back unchanged, errors included. Unary and server-streaming methods.
 *
 * @throws Error for a method that streams requests
 */
export function forwardMethods(_router: ConnectRouter, _methods: readonly DescMethod[], _transport: Transport): void {
  throw new Error('not yet');
}
