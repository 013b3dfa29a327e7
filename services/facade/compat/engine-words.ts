import { type Engine, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** The state of an engine as the routes of load and status write it, e.g. "ready". */
export function stateOf({ state }: Engine): string {
  return (EngineStateSchema.value[state]?.localName ?? 'unspecified').toLowerCase();
}

/** What an engine computes on: "cuda:0", "cuda:0,1", else its kind, e.g. "cpu" or "remote". */
export function deviceOf({ deviceKind, devices }: Engine): string {
  return devices.length > 0 ? `cuda:${devices.join(',')}` : deviceKind;
}

/** How far an engine is that loads. */
export function progressOf({ stage, percent }: Engine): { stage?: string; percent?: number } {
  return { ...(stage === '' ? {} : { stage }), ...(percent === undefined ? {} : { percent }) };
}
