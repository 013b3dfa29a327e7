/** No loopback port could be found. */
export class NoFreePortError extends Error {
  constructor(count: number) {
    super(`no ${count} free loopback ports were found; end what listens there, or give fewer engines to this host`);
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
}

/** Surroundings of a pool, for tests. */
export interface PortPoolOptions {
  /** Default 60,000. */
  readonly quarantineMs?: number;
  /** A clock in milliseconds that does not jump. Default: the process's own. */
  readonly now?: () => number;
}

/** A pool with nothing taken. */
export declare function createPortPool(options?: PortPoolOptions): PortPool;
