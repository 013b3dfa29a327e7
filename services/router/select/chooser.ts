import type { Breakers } from '../fleet/breaker.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { EngineLoads } from './engine-loads.ts';
import type { RouteFeatures } from './features.ts';
import { FreeEngines } from './free-engines.ts';
import { powerOfTwo } from './power-of-two.ts';
import { PrefixBook } from './prefix-book.ts';
import { type Choice, select } from './select.ts';
import { contextTokensOf, refusalOf, scoreOf } from './verdict.ts';

/** What the choice works with. */
export interface ChooserParts {
  readonly loads: EngineLoads;
  /** Which engines get nothing for now. Unset: all may. */
  readonly breakers?: Pick<Breakers, 'allows'>;
  /** As SelectInput.affinityBound. */
  readonly affinityBound: number;
  /** Random numbers from 0 up to 1. */
  readonly random?: () => number;
}

/** Chooses engines, and knows what was chosen before. */
export class Chooser {
  readonly #parts: ChooserParts;
  readonly #prefixes = new PrefixBook();
  /** By list of a snapshot. */
  readonly #free = new WeakMap<readonly Candidate[], FreeEngines>();

  /** Whether an engine failed again and again and gets nothing for now. */
  readonly failing = ({ id }: Candidate): boolean => this.#parts.breakers?.allows(id) === false;

  constructor(parts: ChooserParts) {
    this.#parts = parts;
  }

  /** The engine for a request among those of a model that are not excluded. Undefined: none can take it. */
  choose(
    route: ModelRoute,
    features: RouteFeatures,
    excluded: (candidate: Candidate) => boolean = () => false,
    taken: (candidate: Candidate) => boolean = () => false,
  ): Choice | undefined {
    const { loads, affinityBound, random = Math.random } = this.#parts;
    const affine = affinityBound > 0 ? this.#prefixes.find(route.id, features.prefix) : undefined;
    const { failing, free } = this;
    return select(route, { features, loads, excluded, failing, taken, affine, affinityBound, free, random });
  }

  /** Those of a list of a snapshot that are not full for every request. */
  readonly free = (engines: readonly Candidate[]): readonly Candidate[] => {
    const known = this.#free.get(engines);
    if (known) return known.free;
    const made = new FreeEngines(engines, this.#parts.loads);
    this.#free.set(engines, made);
    return made.free;
  };

  /**
   * An engine that a request may wait for, whether it is full or not: the less loaded of two. Undefined: none of the model takes
   * requests like it.
   */
  oneToWaitFor(
    { ready, coming }: ModelRoute,
    features: RouteFeatures,
    excluded: (candidate: Candidate) => boolean = () => false,
  ): Candidate | undefined {
    const { loads, random = Math.random } = this.#parts;
    const circumstances = { features, loads, excluded, failing: this.failing };
    const takes = (candidate: Candidate): boolean => {
      const refusal = refusalOf(candidate, circumstances);
      return refusal === undefined || refusal === 'full';
    };
    const score = (candidate: Candidate): number => scoreOf(candidate, circumstances);
    return powerOfTwo(ready, takes, score, random) ?? powerOfTwo(coming, takes, score, random);
  }

  /** A request goes to an engine of this model. Returns what counts it out; calling that again does nothing. */
  take({ id, engine }: Candidate, modelId: string, features: RouteFeatures): () => void {
    const { loads, affinityBound } = this.#parts;
    if (affinityBound > 0) this.#prefixes.remember(modelId, features.prefix, id);
    return loads.acquire(id, features.tokens, contextTokensOf(features, engine));
  }

  /** How busy engines are. */
  get loads(): EngineLoads {
    return this.#parts.loads;
  }
}
