import type { Client } from '@connectrpc/connect';
import type { ListNodesResponse, RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import type { Model, RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';

/** How long a view of the fleet counts, in milliseconds. */
const FRESH_MS = 1000;
/** Longest wait for the registry, in milliseconds. */
const TIMEOUT_MS = 2000;

/** The nodes of the mesh, at most a second old. Rejects when the registry does not answer. */
export type FleetView = () => Promise<ListNodesResponse>;

/** Makes a FleetView; requests that come together share one call. */
export function createFleetView(registry: Client<typeof RegistryService>, now: () => number): FleetView {
  return createView(() => registry.listNodes({}, { timeoutMs: TIMEOUT_MS }), now);
}

/** All models of the mesh, at most a second old. Rejects when the router does not answer. */
export type ModelView = () => Promise<readonly Model[]>;

/** Makes a ModelView; requests that come together share one call. */
export function createModelView(router: Client<typeof RouterService>, now: () => number): ModelView {
  return createView(async () => (await router.listModels({}, { timeoutMs: TIMEOUT_MS })).models, now);
}

function createView<View>(load: () => Promise<View>, now: () => number): () => Promise<View> {
  let atMs = Number.NEGATIVE_INFINITY;
  let view: Promise<View> | undefined;
  return () => {
    if (view && now() - atMs < FRESH_MS) return view;
    atMs = now();
    view = load();
    return view;
  };
}
