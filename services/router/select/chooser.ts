import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { EngineLoads } from './engine-loads.ts';
import type { RouteFeatures } from './features.ts';
import { PrefixBook } from './prefix-book.ts';
import { type Choice, select } from './select.ts';

/** What the choice works with. */
export interface ChooserParts {
  readonly loads: EngineLoads;
  /** As SelectInput.affinityBound. */
  readonly affinityBound: number;
  /** Random numbers from 0 up to 1. */
  readonly random?: () => number;
}

/** Chooses engines, and knows what was chosen before. */
export class Chooser {
  readonly #parts: ChooserParts;
  readonly #prefixes = new PrefixBook();

  constructor(parts: ChooserParts) {
    this.#parts = parts;
  }

  /** The engine for a request among those of a model that are not excluded. Undefined: none can take it. */
  choose(
    route: ModelRoute,
    features: RouteFeatures,
    excluded: (candidate: Candidate) => boolean = () => false,
  ): Choice | undefined {
    const { loads, affinityBound, random = Math.random } = this.#parts;
    const affine = affinityBound > 0 ? this.#prefixes.find(route.id, features.prefix) : undefined;
    return select(route, { features, loads, excluded, affine, affinityBound, random });
  }

  /** A request goes to an engine of this model. Returns what counts it out; calling that again does nothing. */
  take({ id }: Candidate, modelId: string, features: RouteFeatures): () => void {
    const { loads, affinityBound } = this.#parts;
    if (affinityBound > 0) this.#prefixes.remember(modelId, features.prefix, id);
    return loads.acquire(id, features.tokens);
  }

  /** How busy engines are. */
  get loads(): EngineLoads {
    return this.#parts.loads;
  }
}
