import type { Logger } from 'pino';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { RouterSource } from '../shared/transport/router-sources.ts';
import type { SupervisorLimits } from './supervisor/supervisor-limits.ts';

/** What the inference service needs from outside. */
export interface InferenceResources {
  /** Where the routers are found that are told about this node. */
  readonly routers: readonly RouterSource[];
  /** Where a private directory for sockets is made, and where logs and leases of engines lie. */
  readonly dataDir: string;
  /** The Node.js binary that embedded engines run on. */
  readonly nodePath: string;
  /** Reads one environment variable: the few that engines inherit, and those that entries name. */
  readonly environmentVariable: (name: string) => string | undefined;
  /** How long streams may go on when their model is unloaded by hand, in milliseconds. Default 30,000. */
  readonly unloadDrainMs?: number;
  readonly log: Logger;
  /** Where engines and devices are told of. Unset: nowhere. */
  readonly metrics?: Metrics | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Others than those of production, for tests. */
  readonly limits?: Partial<SupervisorLimits>;
}
