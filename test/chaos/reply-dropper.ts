import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../harness/processes.ts';

/** Calls of scripts as a Redis client sends them. */
const CALL = /\$7\r\nevalsha\r\n/gi;

/** A client and its way on to Redis. */
interface Pair {
  readonly client: Socket;
  readonly redis: Socket;
}

/** Stands between a process and Redis, and loses replies when it is told to: what was asked is done, and nobody hears of it. */
export class ReplyDropper {
  readonly url: string;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isDropping = false;
  /** Calls whose reply was dropped; those that were under way when it began are not among them. */
  droppedReplies = 0;

  private constructor(url: string, server: Server) {
    this.url = url;
    this.#server = server;
  }

  /** Listens before the Redis server at `redisUrl`. */
  static async start(redisUrl: string): Promise<ReplyDropper> {
    const port = await freePort();
    const server = createServer((client) => dropper.#join(client, Number(new URL(redisUrl).port)));
    const dropper = new ReplyDropper(`redis://127.0.0.1:${port}`, server);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return dropper;
  }

  /** Drops every reply for so long, then cuts the connections. */
  async drop(forMs: number): Promise<void> {
    this.#isDropping = true;
    await delay(forMs);
    for (const pair of this.#pairs) cut(pair);
    this.#isDropping = false;
  }

  async stop(): Promise<void> {
    for (const pair of this.#pairs) cut(pair);
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket, redisPort: number): void {
    const redis = connect(redisPort, '127.0.0.1');
    const pair = { client, redis };
    this.#pairs.add(pair);
    client.on('data', (asked: Buffer) => {
      redis.write(asked);
      if (this.#isDropping) this.droppedReplies += asked.toString('latin1').match(CALL)?.length ?? 0;
    });
    redis.on('data', (reply: Buffer) => {
      if (!this.#isDropping) client.write(reply);
    });
    for (const socket of [client, redis]) {
      socket.setNoDelay(true);
      socket.on('error', () => cut(pair));
      socket.on('close', () => {
        this.#pairs.delete(pair);
        cut(pair);
      });
    }
  }
}

/** What was asked is still passed on to the server; the client is told nothing more. */
function cut({ client, redis }: Pair): void {
  client.destroy();
  redis.end();
}
