import { createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { CLIENT_LIMITS, HTTP2_CLIENT_LIMITS } from './limits.ts';
import { MESH_TOKEN_HEADER } from './mesh-headers.ts';
import { PeerSessions } from './peer-sessions.ts';
import { repeatRefused } from './repeat-refused.ts';
import { createTlsConnector, explainTls, type PeerTls } from './tls-client.ts';

/** A transport that holds a connection. */
export interface RemoteTransport extends Transport {
  /** Ends the connection and the calls on it. */
  close(): void;
}

/** What a remote transport is made of. */
export interface RemoteTransportOptions {
  /** Sent with every call. Unset: none. */
  readonly meshToken: string | undefined;
  readonly interceptors?: Interceptor[];
  /** Unset: by cleartext HTTP/2, or as the address says. */
  readonly tls?: PeerTls | undefined;
  /**
   * Whether it connects again at once when it is told to leave, though it has nothing to ask: who keeps the books stays for those
   * who have nobody else, and knows them by that. Default false.
   */
  readonly comesBack?: boolean;
}

/** A host that vanished is noticed within their sum while calls run, milliseconds. */
const KEEPALIVE = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };

/** How long an attempt to come back may take, in milliseconds. */
const COME_BACK_TIMEOUT_MS = 5_000;

/** Calls services of another process by gRPC over one HTTP/2 connection, opened at the first call and kept alive. */
export function createRemoteTransport(url: string, options: RemoteTransportOptions): RemoteTransport {
  const { tls } = options;
  const connect = tls && createTlsConnector(url, tls);
  let isClosed = false;
  function comeBack(): void {
    // Where it cannot be reached, the next call is the next attempt.
    if (options.comesBack && !isClosed) health.check({}, { timeoutMs: COME_BACK_TIMEOUT_MS }).catch(() => {});
  }
  const sessionManager = new PeerSessions(comeBack, url, KEEPALIVE, {
    ...HTTP2_CLIENT_LIMITS,
    ...(connect ? { createConnection: () => connect() } : {}),
  });
  const transport = createGrpcTransport({
    ...CLIENT_LIMITS,
    baseUrl: url,
    sessionManager,
    // Between our own processes the network is fast and the processor is not.
    acceptCompression: [],
    interceptors: [
      ...(options.interceptors ?? []),
      repeatRefused,
      ...(tls ? [explainTls(tls)] : []),
      addToken(options.meshToken),
    ],
  });
  const health = createClient(Health, transport);
  return {
    unary: transport.unary.bind(transport),
    stream: transport.stream.bind(transport),
    close() {
      isClosed = true;
      sessionManager.abort();
    },
  };
}

function addToken(meshToken: string | undefined): Interceptor {
  return (next) => (req) => {
    if (meshToken) req.header.set(MESH_TOKEN_HEADER, meshToken);
    return next(req);
  };
}
