import { type Engine, EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type { InferenceContext } from './context.ts';

/** States in which an engine has answered whether it works. */
const SETTLED: ReadonlySet<EngineState> = new Set([
  EngineState.READY,
  EngineState.UNHEALTHY,
  EngineState.BACKOFF,
  EngineState.QUARANTINED,
  EngineState.STOPPED,
]);

/** A line for people about each engine, e.g. "demo on cpu", as soon as all are ready or known to have trouble. */
export async function describeWhenSettled(inference: InferenceContext): Promise<string[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (inference.engines().every((engine) => SETTLED.has(engine.state))) resolve();
  };
  const unwatch = inference.watch(look);
  look();
  await promise;
  unwatch();
  return inference.engines().map(describe);
}

function describe({ name, modelId, deviceKind, state, failure, onDemand }: Engine): string {
  if (state === EngineState.READY) return `${modelId || name} on ${deviceKind}`;
  if (state === EngineState.STOPPED && onDemand) return `${modelId || name}, loaded by the first request`;
  return `${modelId || name} is not ready: ${failure?.hint || 'see the log'}`;
}
