import { z } from 'zod';
import type { QuotaConfig } from './config.ts';
import {
  bucketLimit,
  CONCURRENT_UNITS,
  COUNTED_UNITS,
  concurrencyLimit,
  type LimitDefinition,
  PERIODS,
  periodLimit,
} from './limit-definition.ts';
import { createLimits, type Limits, subjectName } from './limits.ts';
import type { QuotaStore } from './store/quota-store.ts';
import type { ScopeName } from './subjects.ts';

/** How old what was set elsewhere may be where nothing is taken, in milliseconds. */
const FRESH_MS = 1_000;

/** How a limit that was set lies in the store. */
const keptSchema = z.array(
  z.union([
    z.strictObject({ unit: z.enum(COUNTED_UNITS), window: z.enum(PERIODS), maximum: z.number() }),
    z.strictObject({
      unit: z.enum(COUNTED_UNITS),
      window: z.literal('bucket'),
      maximum: z.number(),
      burst: z.number(),
    }),
    z.strictObject({ unit: z.enum(CONCURRENT_UNITS), window: z.literal('none'), maximum: z.number() }),
  ]),
);

/** The limits as configuration and store have them. The store says at every Reserve whether ours are the latest. */
export class CurrentLimits {
  readonly #config: QuotaConfig;
  readonly #store: QuotaStore;
  readonly #now: () => number;
  #limits: Limits;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reads = 0;
  #appliedRead = 0;

  /** `now` gives milliseconds of any clock that does not go back. */
  constructor(config: QuotaConfig, store: QuotaStore, now: () => number = () => performance.now()) {
    this.#config = config;
    this.#store = store;
    this.#now = now;
    this.#limits = createLimits(config);
  }

  /** As last read. */
  get latest(): Limits {
    return this.#limits;
  }

  /** As they were in the store within the last second. @throws MeshError STORE_UNAVAILABLE. */
  async fresh(): Promise<Limits> {
    return this.#now() - this.#readAtMs < FRESH_MS ? this.#limits : await this.reload();
  }

  /** Reads them anew. @throws MeshError STORE_UNAVAILABLE. */
  async reload(): Promise<Limits> {
    this.#reads += 1;
    const read = this.#reads;
    const { version, bySubject } = await this.#store.subjectLimits();
    // A slower read may end after a later one. The version does not tell: a store that lost its last moment goes back.
    if (read < this.#appliedRead) return this.#limits;
    this.#appliedRead = read;
    this.#readAtMs = this.#now();
    if (version === this.#limits.version) return this.#limits;
    const set = new Map([...bySubject].map(([subject, text]) => [subject, definitionsOf(text)]));
    this.#limits = createLimits(this.#config, version, set);
    return this.#limits;
  }

  /** Replaces the limits of a subject; none: those of the configuration hold again. @throws MeshError STORE_UNAVAILABLE. */
  async set(scope: ScopeName, subject: string, definitions: readonly LimitDefinition[]): Promise<Limits> {
    const text = definitions.length > 0 ? JSON.stringify(definitions.map(kept)) : undefined;
    await this.#store.setSubjectLimits(subjectName(scope, subject), text);
    return await this.reload();
  }
}

function kept({ unit, window, rule }: LimitDefinition): object {
  if (rule.kind === 'bucket') return { unit, window, maximum: rule.refillPerMinute, burst: rule.burst };
  return { unit, window, maximum: rule.maximum };
}

function definitionsOf(text: string): LimitDefinition[] {
  return keptSchema.parse(JSON.parse(text)).map((limit) => {
    if (limit.window === 'none') return concurrencyLimit(limit.unit, limit.maximum);
    if (limit.window === 'bucket') return bucketLimit(limit.unit, limit.maximum, limit.burst);
    return periodLimit(limit.unit, limit.window, limit.maximum);
  });
}
