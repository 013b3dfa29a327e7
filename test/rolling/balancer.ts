import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that a balancer sends connections to. */
export interface Backend {
  readonly port: number;
  /** What the balancer asks before it sends anything there. */
  isReady(): Promise<boolean>;
}

/** Passes connections on to processes of a role, as Kubernetes or a load balancer of layer 4 does. */
export interface Balancer {
  readonly port: number;
  /** Resolves when the balancer sends new connections there, or does not any more. */
  until(backend: Backend, isIn: boolean): Promise<void>;
  close(): Promise<void>;
}

/** How often backends are asked, in milliseconds. */
const PROBE_EVERY_MS = 200;

/**
 * Starts one. New connections go to backends that were ready when they were asked last, by turns; open ones stay where they are.
 * It knows nothing of requests, so it repeats none; a connection that could not be opened it opens at the next backend.
 */
export async function startBalancer(backends: readonly Backend[]): Promise<Balancer> {
  const ready = new Set<Backend>();
  const sockets = new Set<Socket>();
  let turn = 0;
  let isClosed = false;

  async function probe(backend: Backend): Promise<void> {
    while (!isClosed) {
      if (await backend.isReady().catch(() => false)) ready.add(backend);
      else ready.delete(backend);
      await delay(PROBE_EVERY_MS);
    }
  }
  const probes = backends.map(probe);

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const candidates = backends.filter((backend) => ready.has(backend));
    turn += 1;
    pass(
      client,
      candidates.map((_, i) => candidates[(turn + i) % candidates.length]?.port ?? 0),
    );
  });

  function pass(client: Socket, [port, ...others]: readonly number[]): void {
    if (port === undefined || client.destroyed) return void client.destroy();
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const onRefused = (): void => pass(client, others);
    upstream.once('error', onRefused).once('connect', () => {
      upstream.off('error', onRefused);
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from);
        from
          .on('error', () => to.destroy())
          .on('close', () => {
            sockets.delete(from);
            to.destroy();
          });
        from.pipe(to);
      }
    });
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async until(backend, isIn) {
      while (ready.has(backend) !== isIn && !isClosed) await delay(PROBE_EVERY_MS / 4);
    },
    async close() {
      isClosed = true;
      for (const socket of sockets) socket.destroy();
      server.close();
      await Promise.all(probes);
    },
  };
}
