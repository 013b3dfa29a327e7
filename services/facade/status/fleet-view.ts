import type { Client } from '@connectrpc/connect';
import type { ListNodesResponse, RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import type { Model, RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';

/** How long a view of the fleet counts, in milliseconds. */
const FRESH_MS = 1000;
/** Longest wait for the registry, in milliseconds. */
const TIMEOUT_MS = 2000;

/** What is known of something, at most `maxAgeMs` old; unset: a second. */
type View<Of> = (maxAgeMs?: number) => Promise<Of>;

/** The nodes of the mesh. Rejects when the registry does not answer. */
export type FleetView = View<ListNodesResponse>;

/** Makes a FleetView; requests that come together share one call. */
export function createFleetView(registry: Client<typeof RegistryService>, now: () => number): FleetView {
  return createView(() => registry.listNodes({}, { timeoutMs: TIMEOUT_MS }), now);
}

/** All models of the mesh. Rejects when the router does not answer. */
export type ModelView = View<readonly Model[]>;

/** Makes a ModelView; requests that come together share one call. */
export function createModelView(router: Client<typeof RouterService>, now: () => number): ModelView {
  return createView(async () => (await router.listModels({}, { timeoutMs: TIMEOUT_MS })).models, now);
}

function createView<Of>(load: () => Promise<Of>, now: () => number): View<Of> {
  let atMs = Number.NEGATIVE_INFINITY;
  let view: Promise<Of> | undefined;
  return (maxAgeMs = FRESH_MS) => {
    if (view && now() - atMs < maxAgeMs) return view;
    atMs = now();
    view = load();
    return view;
  };
}
