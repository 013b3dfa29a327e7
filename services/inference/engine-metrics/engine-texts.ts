import type { EngineConnection } from '../engines/engine.ts';
import { type MetricFamily, readExposition } from './exposition.ts';
import { type EngineFamilies, relabelled } from './relabelled.ts';

/** How long a scrape waits for engines, in milliseconds; what comes later is told at the next one. */
const WAIT_MS = 250;

/** How long an engine may take, in milliseconds. */
const ANSWER_MS = 5_000;

/** How old may be what is told, in milliseconds: later it would hide that the engine says nothing. */
const KEPT_MS = 60_000;

/** How long an engine that tells nothing is left alone, in milliseconds. */
const REST_MS = 300_000;

/** More than engines have; one that has no end must not fill our answers. */
const MOST_SAMPLES = 5_000;

/** An engine that may tell metrics. */
export interface ToldEngine {
  readonly name: string;
  readonly connection: Pick<EngineConnection, 'metricsText'> | undefined;
}

interface Known {
  readonly connection: ToldEngine['connection'];
  families: readonly MetricFamily[];
  /** When it was told, on the monotonic clock. */
  atMs: number;
  asked: Promise<void> | undefined;
}

/** What the engines of a node tell of themselves, asked for when somebody scrapes. A slow engine holds nobody up. */
export class EngineTexts {
  readonly #node: string;
  readonly #engines: () => readonly ToldEngine[];
  readonly #isTaken: (name: string) => boolean;
  readonly #known = new Map<string, Known>();

  /** `isTaken`: whether a name is one of our own metrics. */
  constructor(node: string, engines: () => readonly ToldEngine[], isTaken: (name: string) => boolean) {
    this.#node = node;
    this.#engines = engines;
    this.#isTaken = isTaken;
  }

  /** The metrics of all engines under our prefix. Never rejects. */
  async text(): Promise<string> {
    const engines = this.#engines();
    this.#forgetOthers(engines);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, WAIT_MS);
    await Promise.race([late, Promise.all(engines.map((engine) => this.#ask(engine)))]);
    clearTimeout(timer);
    const told: EngineFamilies[] = [];
    const nowMs = performance.now();
    for (const [engine, { families, atMs }] of this.#known) {
      if (nowMs - atMs <= KEPT_MS) told.push({ node: this.#node, engine, families });
    }
    return relabelled(told, this.#isTaken);
  }

  #forgetOthers(engines: readonly ToldEngine[]): void {
    for (const [name, { connection }] of this.#known) {
      // After a restart there is another connection.
      if (!engines.some((engine) => engine.name === name && engine.connection === connection)) this.#known.delete(name);
    }
  }

  #ask({ name, connection }: ToldEngine): Promise<void> {
    if (!connection?.metricsText) return Promise.resolve();
    let known = this.#known.get(name);
    if (!known) {
      known = { connection, families: [], atMs: Number.NEGATIVE_INFINITY, asked: undefined };
      this.#known.set(name, known);
    }
    const isResting = known.families.length === 0 && performance.now() - known.atMs < REST_MS;
    if (isResting) return Promise.resolve();
    known.asked ??= this.#read(known, connection.metricsText).finally(() => {
      known.asked = undefined;
    });
    return known.asked;
  }

  async #read(known: Known, metricsText: NonNullable<EngineConnection['metricsText']>): Promise<void> {
    const text = await metricsText(AbortSignal.timeout(ANSWER_MS)).catch(() => undefined);
    // Busy or away; what it told last may still be told.
    if (text === undefined) return;
    known.families = readExposition(text, MOST_SAMPLES);
    known.atMs = performance.now();
  }
}
