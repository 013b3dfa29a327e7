import { create } from '@bufbuild/protobuf';
import { type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type NodeEngine, NodeEngineSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Node } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { hasScope } from '../../shared/interceptors/principal.ts';

/** The engines that a node reported, as a caller may see them: log lines are for the scope `admin`. */
export function visibleEngines({ engines }: Node, principal: Principal): Engine[] {
  if (hasScope(principal, Scope.ADMIN)) return engines;
  return engines.map((engine) =>
    engine.failure ? { ...engine, failure: { ...engine.failure, evidence: [] } } : engine,
  );
}

/** The same, each with its node. */
export function nodeEngines(node: Node, principal: Principal): NodeEngine[] {
  return visibleEngines(node, principal).map((engine) => create(NodeEngineSchema, { node: node.node, engine }));
}

/** Engines by name, those of one name by node. */
export function inOrderOfNames(engines: readonly NodeEngine[]): NodeEngine[] {
  return engines.toSorted((a, b) => compare(a.engine?.name ?? '', b.engine?.name ?? '') || compare(a.node, b.node));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
