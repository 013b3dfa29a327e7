import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A way over TCP to a server of this machine, on which things go wrong. What clients send is asked, what servers send replied. */
export interface FaultProxy {
  readonly port: number;
  /** With "http". */
  readonly url: string;
  /** Connections that were made over it so far. */
  made(): number;
  /** How many bytes of replies have left for clients so far. */
  repliedBytes(): number;
  /** The next reply is lost and its connection with it, after the server has done what it was told. */
  dropNextReply(): void;
  /** How many replies were lost. */
  droppedReplies(): number;
  /** Everything arrives so much later, in milliseconds; 0: at once again. */
  delay(delayMs: number): void;
  /** After so many more bytes of replies their connection is reset, wherever that is. */
  resetAfter(replyBytes: number): void;
  /** Ends what is connected in good order. */
  cut(): void;
  /** Resets what is connected. */
  reset(): void;
  /** Nothing passes any more, in either direction, and no end is told: the host has vanished. New connections come to nothing. */
  freeze(): void;
  /** Ends that for what is connected and what comes. */
  thaw(): void;
  close(): Promise<void>;
}

/** Starts one before the server that listens on a port. */
export async function startFaultProxy(serverPort: number): Promise<FaultProxy> {
  /** Each side of what is connected, with its other side. */
  const sockets = new Map<Socket, Socket>();
  const clients: Socket[] = [];
  let isDropping = false;
  let dropped = 0;
  let delayMs = 0;
  let leftBytes = Number.POSITIVE_INFINITY;
  let isFrozen = false;

  /** Passes on what a socket gets. */
  function pass(from: Socket, to: Socket, isReply: boolean): void {
    let isDelaying = false;
    from.on('data', async (bytes: Buffer) => {
      if (isReply && isDropping) {
        isDropping = false;
        dropped += 1;
        from.destroy();
        return;
      }
      if (delayMs > 0) {
        isDelaying = true;
        from.pause();
        await delay(delayMs);
        isDelaying = false;
        if (!isFrozen && !to.writableNeedDrain) from.resume();
      }
      if (to.destroyed) return;
      const sent = isReply ? bytes.subarray(0, leftBytes) : bytes;
      if (isReply) leftBytes -= sent.length;
      if (!to.write(sent)) from.pause();
      if (!isReply || sent.length === bytes.length) return;
      leftBytes = Number.POSITIVE_INFINITY;
      // What was written leaves first: it is what the other side has seen when the reset comes.
      to.write('', () => to.resetAndDestroy());
      from.destroy();
    });
    to.on('drain', () => {
      if (!isFrozen && !isDelaying) from.resume();
    });
  }

  const server = createServer((client) => {
    clients.push(client);
    const upstream = connect(serverPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.set(socket, other);
      pass(socket, other, socket === upstream);
      if (isFrozen) socket.pause();
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        if (!isFrozen) other.destroySoon();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    made: () => clients.length,
    repliedBytes: () => clients.reduce((sum, client) => sum + client.bytesWritten - client.writableLength, 0),
    dropNextReply() {
      isDropping = true;
    },
    droppedReplies: () => dropped,
    delay(ms) {
      delayMs = ms;
    },
    resetAfter(replyBytes) {
      leftBytes = replyBytes;
    },
    cut() {
      for (const socket of sockets.keys()) socket.destroy();
    },
    reset() {
      for (const socket of sockets.keys()) socket.resetAndDestroy();
    },
    freeze() {
      isFrozen = true;
      for (const socket of sockets.keys()) socket.pause();
    },
    thaw() {
      isFrozen = false;
      for (const [socket, other] of sockets) {
        if (other.destroyed) socket.resetAndDestroy();
        else socket.resume();
      }
    },
    async close() {
      isFrozen = false;
      server.close();
      for (const socket of sockets.keys()) socket.destroy();
      await once(server, 'close');
    },
  };
}
