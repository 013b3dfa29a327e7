import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Node } from '../../../gen/mesh/router/v1/registry_service_pb.ts';

/**
 * The node to load a model on because it has it: loaded, else on its way, else configured; of several the first, so that
 * those who ask at the same time agree. A name of that kind counts before an underlying id. Pure.
 */
export function nodeWith(model: string, nodes: readonly Node[]): Node | undefined {
  return best(nodes, ({ name }) => name === model) ?? best(nodes, ({ modelId }) => modelId === model);
}

function best(nodes: readonly Node[], isMeant: (engine: Engine) => boolean): Node | undefined {
  const having = nodes.flatMap((node) =>
    node.engines.filter(isMeant).map((engine) => ({ node, distance: distanceOf(engine) })),
  );
  return having.toSorted((a, b) => a.distance - b.distance)[0]?.node;
}

/** How far an engine is from taking requests. */
function distanceOf({ state }: Engine): number {
  switch (state) {
    case EngineState.READY:
      return 0;
    case EngineState.STARTING:
    case EngineState.PLACED:
    case EngineState.SLEEPING:
      return 1;
    case EngineState.QUARANTINED:
      return 3;
    default:
      return 2;
  }
}

/** Whether a name means an engine: its own, or its underlying id. */
export function answersTo({ name, modelId }: Engine, model: string): boolean {
  return name === model || modelId === model;
}

/** Whether something of an engine is on the devices of its node, or about to be. A server elsewhere is not ours. */
export function isHere({ state, deviceKind }: Engine): boolean {
  return deviceKind !== 'remote' && state !== EngineState.PENDING && state !== EngineState.STOPPED;
}
