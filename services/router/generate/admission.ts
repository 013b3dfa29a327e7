import { type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import { hasScope, isGranted } from '../../shared/interceptors/principal.ts';
import type { ModelRoute, Snapshot } from '../fleet/snapshot.ts';

/**
 * Whether the caller may make this request at all, before anything is reserved. Pure.
 *
 * @returns the model that it leads to.
 * @throws MeshError SCOPE_MISSING, MODEL_NOT_GRANTED, MODEL_NOT_FOUND, or NO_HEALTHY_ENGINE before any node reported.
 */
export function admit(
  principal: Principal,
  request: Pick<GenerateRequest, 'model' | 'engine'> & Partial<Pick<GenerateRequest, 'modelRole'>>,
  snapshot: Snapshot,
): ModelRoute {
  requireScope(principal, Scope.GENERATE, 'generate');
  if (request.engine !== '') requireScope(principal, Scope.ADMIN, 'admin');
  const route = snapshot.route(request.model, request.modelRole);
  // A model that is not granted is told apart from one that does not exist only to those who may see it.
  if (route && !isGranted(principal, route)) {
    const which = request.model === '' ? 'the default model' : `the model '${request.model}'`;
    throw new MeshError('MODEL_NOT_GRANTED', `This key may not use ${which}.`, {
      metadata: { model: request.model },
    });
  }
  if (!route) throw snapshot.hasNodes ? modelNotFound(request.model) : noHealthyEngine(request.model);
  return route;
}

/**
 * Refuses what only the mesh may say.
 *
 * @throws MeshError INVALID_FIELD.
 */
export function refuseInternal({ continuation }: GenerateRequest): void {
  if (continuation) throw invalidField('continuation', 'is for the mesh alone; leave it out');
}

/** The models to take when no engine of the one that was asked for can take the request, as far as the caller may use them. */
export function fallbacksOf(principal: Principal, route: ModelRoute, snapshot: Snapshot): ModelRoute[] {
  const routes = route.fallbacks.flatMap((name) => snapshot.route(name) ?? []);
  return routes.filter((fallback) => fallback.id !== route.id && isGranted(principal, fallback));
}

/** No engine serves a model of that name. */
export function modelNotFound(model: string): MeshError {
  const message =
    model === ''
      ? 'No model is configured.'
      : `The model '${model}' does not exist. GET /v1/models lists what there is.`;
  return new MeshError('MODEL_NOT_FOUND', message, { metadata: { model } });
}

/** The model exists but nothing can run it now. */
export function noHealthyEngine(model: string): MeshError {
  return new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends', { metadata: { model }, retryAfterMs: 1_000 });
}

/** The model exists, and was unloaded by hand. */
export function modelNotLoaded(model: string): MeshError {
  return new MeshError('MODEL_NOT_LOADED', 'model not loaded', { metadata: { model } });
}

function requireScope(principal: Principal, scope: Scope, name: string): void {
  if (hasScope(principal, scope)) return;
  throw new MeshError('SCOPE_MISSING', `This needs the scope '${name}'.`, { metadata: { scope: name } });
}
