import { type DescMethodBiDiStreaming, fromBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js';
import {
  type TrunkCommandsSchema,
  type TrunkEvents,
  TrunkEventsSchema,
} from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import type { MeshError } from '../../errors/mesh-error.ts';
import { methodName } from '../../interceptors/access.ts';
import { READ_MAX_BYTES, WRITE_MAX_BYTES } from '../limits.ts';
import { MESH_TOKEN_HEADER } from '../mesh-headers.ts';
import { notTrusted, type PeerTls } from '../tls-client.ts';
import { type EncodedCommand, encodeCommands } from './command-codec.ts';
import { TrunkCredentials } from './trunk-credentials.ts';
import { trunkFailure } from './trunk-failure.ts';
import { CLIENT_KEEPALIVE, CONNECTION_WINDOW_BYTES, OPEN_TIMEOUT_MS } from './trunk-limits.ts';

/** Where a trunk leads. */
export interface TrunkTarget {
  /** E.g. "http://10.0.0.7:7004". */
  readonly url: string;
  /** RouterService.method.attach or InferenceService.method.attach. */
  readonly method: DescMethodBiDiStreaming<typeof TrunkCommandsSchema, typeof TrunkEventsSchema>;
  /** Sent as proof of a process of the mesh. Unset: none. */
  readonly meshToken: string | undefined;
  /** Unset: without TLS. */
  readonly tls?: PeerTls | undefined;
}

/** What is heard of a channel. */
export interface ChannelListener {
  /** The other side has accepted the trunk. */
  onOpen(): void;
  onEvents(events: TrunkEvents): void;
  /** The trunk is over, once; nothing comes after it. */
  onOver(error: MeshError): void;
}

/** The stream of one trunk, on a connection of its own. */
export interface TrunkChannel {
  /** Sends commands in one message. */
  send(commands: readonly EncodedCommand[]): void;
  /** Sends nothing more; what the other side still says is heard. */
  end(): void;
  /** Ends the stream and the connection at once. */
  close(): void;
}

/** Opens a channel; commands may be sent at once. */
export function openChannel(target: TrunkTarget, listener: ChannelListener): TrunkChannel {
  const { url, method, meshToken, tls } = target;
  const secured = tls && new TrunkCredentials(url, tls);
  const client = new Client(`dns:${new URL(url).host}`, secured ?? credentials.createInsecure(), {
    'grpc.max_receive_message_length': READ_MAX_BYTES,
    'grpc.max_send_message_length': WRITE_MAX_BYTES,
    'grpc.keepalive_time_ms': CLIENT_KEEPALIVE.pingIntervalMs,
    'grpc.keepalive_timeout_ms': CLIENT_KEEPALIVE.pingTimeoutMs,
    'grpc-node.flow_control_window': CONNECTION_WINDOW_BYTES,
    // Each trunk has a connection of its own and tries once; whoever opens it decides when to try again.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
  });
  const metadata = new Metadata();
  if (meshToken) metadata.set(MESH_TOKEN_HEADER, meshToken);
  const stream: ClientDuplexStream<readonly EncodedCommand[], TrunkEvents> = client.makeBidiStreamRequest(
    `/${methodName(method)}`,
    encodeCommands,
    (bytes: Buffer) => fromBinary(TrunkEventsSchema, bytes),
    metadata,
  );
  const late = setTimeout(() => stream.cancel(), OPEN_TIMEOUT_MS);
  let isOver = false;

  function over(error: unknown): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(late);
    client.close();
    listener.onOver(secured?.distrust && tls ? notTrusted(tls.role, secured.distrust) : trunkFailure(error));
  }

  stream.on('metadata', () => {
    clearTimeout(late);
    if (!isOver) listener.onOpen();
  });
  stream.on('data', (events: TrunkEvents) => {
    if (!isOver) listener.onEvents(events);
  });
  stream.on('error', over);
  // Also after the regular end of the other side.
  stream.on('status', over);
  return {
    send(commands) {
      if (!isOver) stream.write(commands);
    },
    end: () => void stream.end(),
    close() {
      stream.cancel();
      over(undefined);
    },
  };
}
