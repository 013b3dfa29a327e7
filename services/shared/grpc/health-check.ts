import type { Client } from '@connectrpc/connect';
import {
  type Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../../gen/grpc/health/v1/health_pb.ts';

/** How long a peer has to answer, in milliseconds. */
const TIMEOUT_MS = 1_000;

/** Whether a peer says that the service serves. A peer that does not answer does not serve; its own log says why. */
export async function isServing(health: Client<typeof Health>, service: string): Promise<boolean> {
  try {
    const { status } = await health.check({ service }, { timeoutMs: TIMEOUT_MS });
    return status === ServingStatus.SERVING;
  } catch {
    // Unreachable, too slow or unknown there: whatever the reason, it cannot be counted on.
    return false;
  }
}
