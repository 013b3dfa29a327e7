import type { Logger } from 'pino';

/** What one start of an engine holds, on disk while it runs, so that a later mesh can find what is left of it. */
export interface EngineLease {
  /** The configured name. */
  readonly engine: string;
  /** The start's own `MESH_ENGINE_MARK`. */
  readonly mark: string;
  /** The engine's own process. */
  readonly processId: number;
  /** When it was started, as `startTimeOf` tells it. Empty: the platform does not. */
  readonly startTime: string;
  /** Loopback ports that it was given. */
  readonly ports: readonly number[];
  /** CUDA indices that it was given. */
  readonly devices: readonly number[];
}

/** The leases of this process: one file each, `<data>/engines/<pid>-<start>/<mark>.json`, written whole or not at all. */
export interface EngineLeases {
  /** Writes a lease; one with the same mark is replaced. */
  record(lease: EngineLease): void;
  /** Forgets a lease when nothing of the start is left. */
  remove(mark: string): void;
  /**
   * At boot, before any start: kills what predecessors that are gone have left and forgets their leases. Safe against
   * process ids that others have by now; never touches engines of another mesh process that lives.
   *
   * @returns the leases of which something was still there
   */
  reconcile(log: Logger): Promise<readonly EngineLease[]>;
}

/** The leases below a data directory. Nothing is written before the first lease. */
export declare function createLeases(dataDir: string): EngineLeases;
