import { type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { hasScope } from '../../shared/interceptors/principal.ts';

/** What a caller may see of an engine: log lines only with the scope `admin`. */
export function visibleEngine(engine: Engine, principal: Principal): Engine {
  if (!engine.failure || hasScope(principal, Scope.ADMIN)) return engine;
  return { ...engine, failure: { ...engine.failure, evidence: [] } };
}
