import type { Logger } from 'pino';
import type { ObservabilityConfig } from './observability-config.ts';
import { createLogger } from './shared/observability/logger.ts';

/** What a process is seen by from outside; its services share it. */
export interface Observability {
  readonly log: Logger;
  /** Writes out what is buffered. Never rejects. */
  close(): Promise<void>;
}

/** Builds what a process is seen by, before anything else of it. */
export function openObservability(config: ObservabilityConfig): Observability {
  return {
    log: createLogger({ level: config.log_level }),
    close: async () => {},
  };
}
