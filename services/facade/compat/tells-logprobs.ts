import type { FleetView, ModelView } from '../status/fleet-view.ts';

/**
 * Whether all engines that may answer for a model tell log-probabilities: they may be asked for without a refusal. `model` is
 * as callers name it, "" the default. Never rejects: a router that does not answer will say so itself.
 */
export type TellsLogprobs = (model: string) => Promise<boolean>;

/** Makes a TellsLogprobs. */
export function createTellsLogprobs(fleetView: FleetView, modelView: ModelView): TellsLogprobs {
  return async (name) => {
    try {
      const [{ nodes }, models] = await Promise.all([fleetView(), modelView()]);
      const model = models.find(({ id, names, isDefault }) =>
        name === '' ? isDefault : id === name || names.includes(name),
      );
      const engines = nodes.flatMap((node) => node.engines).filter((one) => (one.modelId || one.name) === model?.id);
      return engines.length > 0 && engines.every(({ capabilities }) => capabilities?.logprobs === true);
    } catch {
      // The generation itself meets the same trouble, and tells it.
      return false;
    }
  };
}
