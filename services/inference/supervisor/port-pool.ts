import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Where ports are looked for. Below the range from which Linux and macOS pick ports for outgoing connections: one of those could
 * take a port between our look and the engine's start, which may be minutes of loading later.
 */
const PORTS = { first: 20_000, end: 29_000 };

const QUARANTINE_MS = 60_000;

/** So many ports are tried at most for one `take`. */
const TRIES = 500;

/** No loopback port could be found. */
export class NoFreePortError extends Error {
  constructor(count: number) {
    super(
      `No ${count} free ports of 127.0.0.1 were found from ${PORTS.first} to ${PORTS.end - 1}. ` +
        'End what listens there, or run fewer engines on this host.',
    );
    this.name = 'NoFreePortError';
  }
}

/** Loopback ports for engines that cannot listen on a Unix socket. */
export interface PortPool {
  /**
   * Ports of 127.0.0.1 that nobody listens on, that the pool has not given away and that are not in quarantine.
   *
   * @throws NoFreePortError
   */
  take(count: number): Promise<readonly number[]>;
  /** Gives ports back. They rest for 60 s, so that a late request for the old engine cannot reach a new one. */
  release(ports: readonly number[]): void;
  /** Lets ports rest that an earlier mesh gave to engines, just as those that come back. */
  quarantine(ports: readonly number[]): void;
}

/** Surroundings of a pool, for tests. */
export interface PortPoolOptions {
  /** Default 60,000. */
  readonly quarantineMs?: number;
  /** A clock in milliseconds that does not jump. Default: the process's own. */
  readonly now?: () => number;
  /** The ports to give, from `first` to the one before `end`. Default: 20,000 to 28,999. */
  readonly ports?: { readonly first: number; readonly end: number };
}

/** A pool with nothing taken. */
export function createPortPool(options: PortPoolOptions = {}): PortPool {
  const { quarantineMs = QUARANTINE_MS, now = () => performance.now(), ports = PORTS } = options;
  /** When a port may be given again; never while it is taken. */
  const freeAtMs = new Map<number, number>();

  function isOurs(port: number): boolean {
    const freeAt = freeAtMs.get(port);
    if (freeAt !== undefined && freeAt > now()) return true;
    freeAtMs.delete(port);
    return false;
  }

  return {
    async take(count) {
      const taken: number[] = [];
      // A random start: other processes look for ports in the same way.
      const start = randomInt(ports.first, ports.end);
      const length = ports.end - ports.first;
      for (let step = 0; taken.length < count && step < Math.min(TRIES, length); step++) {
        const port = ports.first + ((start - ports.first + step) % length);
        if (isOurs(port)) continue;
        // Before the look, not after it: two takes look at the same time.
        freeAtMs.set(port, Number.POSITIVE_INFINITY);
        if (await isFree(port)) taken.push(port);
        else freeAtMs.delete(port);
      }
      if (taken.length === count) return taken;
      for (const port of taken) freeAtMs.delete(port);
      throw new NoFreePortError(count);
    },
    release(released) {
      for (const port of released) if (freeAtMs.has(port)) freeAtMs.set(port, now() + quarantineMs);
    },
    quarantine(used) {
      // One that the pool has given meanwhile stays taken.
      for (const port of used) freeAtMs.set(port, Math.max(freeAtMs.get(port) ?? 0, now() + quarantineMs));
    },
  };
}

/** Whether a server could listen on a loopback port. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, port);
  } catch {
    return false; // In use, or not for us: either way it is not free.
  }
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port, exclusive: true }, resolve);
  });
}
