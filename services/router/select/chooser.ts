import type { Breakers } from '../fleet/breaker.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { EngineLoads } from './engine-loads.ts';
import type { RouteFeatures } from './features.ts';
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
    return select(route, { features, loads, excluded, failing: this.failing, taken, affine, affinityBound, random });
  }

  /**
   * The engine that a request would best wait for, whether it is full or not. Undefined: none of the model takes requests like
   * it. Looks at all of them.
   */
  bestToWaitFor(
    { ready, coming }: ModelRoute,
    features: RouteFeatures,
    excluded: (candidate: Candidate) => boolean = () => false,
  ): Candidate | undefined {
    const circumstances = { features, loads: this.#parts.loads, excluded, failing: this.failing };
    const takes = (candidate: Candidate): boolean => {
      const refusal = refusalOf(candidate, circumstances);
      return refusal === undefined || refusal === 'full';
    };
    const able = ready.some(takes) ? ready.filter(takes) : coming.filter(takes);
    const [first] = able.toSorted((one, other) => scoreOf(one, circumstances) - scoreOf(other, circumstances));
    return first;
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
