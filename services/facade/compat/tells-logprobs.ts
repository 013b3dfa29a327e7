import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FleetView, ModelView } from '../status/fleet-view.ts';

/**
 * Whether all engines that may answer for a model tell log-probabilities: they may be asked for without a refusal. `model` is
 * as callers name it, "" the default. Never rejects: a router that does not answer will say so itself.
 */
export type TellsLogprobs = (model: string) => Promise<boolean>;

/** Makes a TellsLogprobs. What a view does not know yet is looked up: it may just have been loaded. */
export function createTellsLogprobs(fleetView: FleetView, modelView: ModelView): TellsLogprobs {
  async function enginesOf(name: string, maxAgeMs?: number): Promise<readonly Engine[]> {
    const [{ nodes }, models] = await Promise.all([fleetView(maxAgeMs), modelView(maxAgeMs)]);
    const model = models.find(({ id, names, isDefault }) =>
      name === '' ? isDefault : id === name || names.includes(name),
    );
    return nodes.flatMap((node) => node.engines).filter((one) => (one.modelId || one.name) === model?.id);
  }

  return async (name) => {
    try {
      const known = await enginesOf(name);
      const engines = known.length > 0 ? known : await enginesOf(name, 0);
      return engines.length > 0 && engines.every(({ capabilities }) => capabilities?.logprobs === true);
    } catch {
      // The generation itself meets the same trouble, and tells it.
      return false;
    }
  };
}
