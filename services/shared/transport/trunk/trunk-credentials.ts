import type { Socket } from 'node:net';
import { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import { createTlsConnector, type PeerTls } from '../tls-client.ts';
import { tlsFailureOf } from '../tls-failure.ts';

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/** TLS between processes of the mesh for a channel of grpc-js, by the same connector as for every other call. */
export class TrunkCredentials extends ChannelCredentials {
  readonly #connect: (socket: Socket) => Promise<Socket>;
  #distrust: unknown;

  constructor(url: string, tls: PeerTls) {
    super();
    const connector = createTlsConnector(url, tls);
    this.#connect = (tcp) =>
      new Promise((resolve, reject) => {
        const socket = connector(tcp);
        socket.once('secureConnect', () => resolve(socket));
        // What the other side thinks of our certificate comes after the handshake, and then it is too late to reject.
        socket.on('error', (error) => {
          if (tlsFailureOf(error)) this.#distrust = error;
          reject(error);
        });
        socket.once('close', () => reject(new Error('the connection was closed')));
      });
  }

  /** Why the two sides do not trust each other; undefined when that is not it. */
  get distrust(): unknown {
    return this.#distrust;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): SecureConnector {
    const callCredentials = CallCredentials.createEmpty();
    return {
      connect: async (tcp) => ({ socket: await this.#connect(tcp), secure: true }),
      waitForReady: async () => {},
      getCallCredentials: () => callCredentials,
      destroy() {},
    };
  }
}
