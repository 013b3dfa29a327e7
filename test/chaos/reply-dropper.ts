import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A way to a server on which replies can be lost. */
export interface ReplyDropper {
  readonly port: number;
  /** All replies are lost for so long, then all connections. */
  dropFor(forMs: number): Promise<void>;
  /** How many replies were lost; while all are lost, those to scripts that were sent meanwhile. */
  dropped(): number;
  close(): Promise<void>;
}

/** Calls of scripts as a Redis client sends them. */
const CALL = /\$7\r\nevalsha\r\n/gi;

/** Stands before the server that listens on a port of this machine. */
export async function startReplyDropper(serverPort: number): Promise<ReplyDropper> {
  const ways = new Set<{ readonly client: Socket; readonly server: Socket }>();
  let isDeaf = false;
  let dropped = 0;
  const proxy = createServer((client) => {
    const server = connect(serverPort, '127.0.0.1');
    const way = { client, server };
    ways.add(way);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => cut(way));
      socket.on('close', () => {
        ways.delete(way);
        cut(way);
      });
    }
    client.on('data', (asked) => {
      server.write(asked);
      if (isDeaf) dropped += asked.toString('latin1').match(CALL)?.length ?? 0;
    });
    server.on('data', (reply) => {
      if (!isDeaf) client.write(reply);
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const cutAll = (): void => {
    for (const way of ways) cut(way);
  };
  return {
    port: (proxy.address() as AddressInfo).port,
    async dropFor(forMs) {
      isDeaf = true;
      await delay(forMs);
      cutAll();
      isDeaf = false;
    },
    dropped: () => dropped,
    async close() {
      proxy.close();
      cutAll();
      await once(proxy, 'close');
    },
  };
}

/** What was asked is still passed on to the server; the client hears nothing more. */
function cut({ client, server }: { readonly client: Socket; readonly server: Socket }): void {
  client.destroy();
  server.end();
}
