import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way over TCP to a server of this machine that reads along. */
export interface PingCounter {
  readonly port: number;
  /** Connections that were made over it so far. */
  made(): number;
  /** PINGs of clients that the server has answered so far; over h2c only. */
  answered(): number;
  close(): Promise<void>;
}

/** Length, type, flags and stream of a frame, in bytes; RFC 9113, 4.1. */
const HEAD_BYTES = 9;
const PING = 6;
const ACK = 1;

/** Starts one before the server that listens on a port. */
export async function startPingCounter(serverPort: number): Promise<PingCounter> {
  const sockets = new Set<Socket>();
  let made = 0;
  let answered = 0;
  const server = createServer((client) => {
    made += 1;
    const upstream = connect(serverPort, '127.0.0.1');
    const replied = frameReader((type, flags) => {
      if (type === PING && flags & ACK) answered += 1;
    });
    client.pipe(upstream);
    upstream.on('data', replied).pipe(client);
    sockets.add(client);
    client.on('error', () => upstream.destroy()).on('close', () => sockets.delete(client) && upstream.destroy());
    upstream.on('error', () => client.destroy()).on('close', () => client.destroySoon());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    made: () => made,
    answered: () => answered,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Takes what a server sends, and tells the type and the flags of each frame whose head is complete. */
function frameReader(onFrame: (type: number, flags: number) => void): (bytes: Buffer) => void {
  let skip = 0;
  let head = Buffer.alloc(0);
  return (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      const step = Math.min(skip, bytes.length - at);
      skip -= step;
      at += step;
      const part = bytes.subarray(at, at + HEAD_BYTES - head.length);
      head = Buffer.concat([head, part]);
      at += part.length;
      if (head.length < HEAD_BYTES) return;
      onFrame(head[3] ?? 0, head[4] ?? 0);
      skip = head.readUIntBE(0, 3);
      head = Buffer.alloc(0);
    }
  };
}
