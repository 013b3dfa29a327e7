import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthListResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import type { Routes } from '../transport/routes.ts';

/** The state that a listener tells about its services. */
export interface HealthState {
  /** Sets the state of a service by its full name; "" is the process as a whole. Watchers hear of a change at once. */
  set(service: string, serving: boolean): void;
  /** Whether the service is known and serves. */
  isServing(service: string): boolean;
  /** `grpc.health.v1.Health`. */
  readonly routes: Routes;
}

/** Makes a state in which nothing is known but "", which does not serve yet. */
export function createHealth(): HealthState {
  const statuses = new Map<string, ServingStatus>([['', ServingStatus.NOT_SERVING]]);
  const watchers = new Map<string, Set<() => void>>();

  async function* watch(request: { service: string }, context: HandlerContext): AsyncGenerator<HealthCheckResponse> {
    let wake = () => {};
    const changed = () => wake();
    const set = watchers.get(request.service) ?? new Set();
    watchers.set(request.service, set.add(changed));
    context.signal.addEventListener('abort', changed);
    try {
      let sent: ServingStatus | undefined;
      while (!context.signal.aborted) {
        const status = statuses.get(request.service) ?? ServingStatus.SERVICE_UNKNOWN;
        const next = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if (status !== sent) yield response(status);
        sent = status;
        // A change while the message was on its way has resolved it already.
        if (!context.signal.aborted) await next;
      }
    } finally {
      set.delete(changed);
      if (set.size === 0) watchers.delete(request.service);
    }
  }

  return {
    set(service, serving) {
      statuses.set(service, serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
      for (const changed of watchers.get(service) ?? []) changed();
    },
    isServing: (service) => statuses.get(service) === ServingStatus.SERVING,
    routes: (router) =>
      router.service(Health, {
        check(request) {
          const status = statuses.get(request.service);
          if (status === undefined) {
            throw new MeshError('NOT_FOUND', 'This process does not serve a service of that name.', {
              metadata: { kind: 'service', id: request.service },
            });
          }
          return response(status);
        },
        list: () =>
          create(HealthListResponseSchema, {
            statuses: Object.fromEntries([...statuses].map(([name, status]) => [name, response(status)])),
          }),
        watch,
      }),
  };
}

function response(status: ServingStatus): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}
