import type { Logger } from 'pino';
import { ROLES, type Role } from './shared/transport/roles.ts';
import type { TracesConfig } from './traces-config.ts';

/** Who records traces. */
export interface TracingProcess {
  readonly roles: ReadonlySet<Role>;
  readonly version: string;
  readonly log: Logger;
}

/**
 * Begins to record, before anything else of the process is built, and by the process's own OTEL_* variables. What records is loaded
 * only here: it takes 200 ms and 25 MB. Returns what sends the rest and ends it; never rejects.
 */
export async function startTraces(
  { traces_content: recordsContent }: TracesConfig,
  { roles, version, log }: TracingProcess,
): Promise<() => Promise<void>> {
  const { openTraces } = await import('./shared/observability/open-traces.ts');
  return openTraces({ serviceName: serviceNameOf(roles), version, recordsContent, log });
}

/** E.g. "inference-mesh-router", so that the processes of a mesh are told apart. */
function serviceNameOf(roles: ReadonlySet<Role>): string {
  return ['inference-mesh', ...(roles.size < ROLES.length ? roles : [])].join('-');
}
