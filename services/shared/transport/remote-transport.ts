import type { Interceptor, Transport } from '@connectrpc/connect';

/** A transport that holds a connection. */
export interface RemoteTransport extends Transport {
  /** Ends the connection and the calls on it. */
  close(): void;
}

/** What a remote transport is made of. */
export interface RemoteTransportOptions {
  /** Sent with every call. */
  readonly meshToken: string | undefined;
  readonly interceptors?: Interceptor[];
}

/** Calls services of another process by gRPC over one HTTP/2 connection, opened at the first call and kept alive. */
export function createRemoteTransport(_url: string, _options: RemoteTransportOptions): RemoteTransport {
  throw new Error('not yet');
}
