import type { Logger } from 'pino';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { DeviceBook } from '../devices/device-book.ts';
import type { EngineAdapter, EngineConnection, EngineSetting } from '../engines/engine.ts';
import type { ModelEntry } from '../engines/model-entry.ts';
import type { EngineLog } from './engine-log.ts';
import type { EngineStatus } from './engine-status.ts';
import type { EngineLeases } from './leases.ts';
import type { MarkedStart } from './own-processes.ts';
import type { PlacingQueue } from './placing-queue.ts';
import type { PortPool } from './port-pool.ts';
import type { SupervisorLimits } from './supervisor-limits.ts';

/** An engine that somebody looks after: a process of ours, or a server elsewhere. */
export interface SupervisedEngine {
  readonly status: EngineStatus;
  /** The way to it while it takes requests. Unset: it does not. */
  readonly connection: EngineConnection | undefined;
  /** The start of which processes may be there. */
  readonly marked: MarkedStart | undefined;
  /** Whether it would start if its devices had room. */
  readonly waitsForRoom: boolean;
  /** Begins to look after it. */
  start(): void;
  /** Sends it to sleep; it runs nothing. Only an engine whose adapter says that it can, while it is ready. */
  sleep(): void;
  /** Wakes it, or places it if it waits for room: there should be some. */
  wake(): void;
  /**
   * Takes nothing new, gives what runs at most `drainMs`, then ends it. Resolves when nothing of it is left; never
   * rejects. A second call waits for the first.
   */
  stop(drainMs: number): Promise<void>;
}

/** What a supervisor of any engine works with. */
export interface SupervisorParts {
  readonly entry: ModelEntry;
  readonly adapter: EngineAdapter;
  readonly setting: EngineSetting;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  readonly limits: SupervisorLimits;
  /** Called after every change but load. */
  readonly onChange: (engine: Engine) => void;
}

/** What a supervisor of a process works with besides. The node's engines share all but the log. */
export interface ProcessSupervisorParts extends SupervisorParts {
  readonly devices: DeviceBook;
  readonly queue: PlacingQueue;
  readonly ports: PortPool;
  readonly leases: EngineLeases;
  readonly engineLog: EngineLog;
}
