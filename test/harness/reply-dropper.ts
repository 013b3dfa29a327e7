import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server on which replies can be lost. */
export interface ReplyDropper {
  readonly port: number;
  /** The next reply is lost and its connection with it, after the server has done what it was told. */
  dropNext(): void;
  /** How many replies were lost. */
  dropped(): number;
  close(): Promise<void>;
}

/** Stands before the server that listens on a port of this machine. */
export async function startReplyDropper(serverPort: number): Promise<ReplyDropper> {
  const sockets = new Set<Socket>();
  let isArmed = false;
  let dropped = 0;
  const proxy = createServer((client) => {
    const server = connect(serverPort, '127.0.0.1');
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.pipe(server);
    server.on('data', (reply) => {
      if (!isArmed) return void client.write(reply);
      isArmed = false;
      dropped += 1;
      end();
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    port: (proxy.address() as AddressInfo).port,
    dropNext() {
      isArmed = true;
    },
    dropped: () => dropped,
    async close() {
      proxy.close();
      for (const socket of sockets) socket.destroy();
      await once(proxy, 'close');
    },
  };
}
