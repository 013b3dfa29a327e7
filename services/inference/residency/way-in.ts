import { type Departure, fewest, type Leaver } from './departure.ts';
import type { Fits, ResidentView, Step } from './resident.ts';

/** When a step is taken: now; when those who go already, or are told to now, are gone; when others have become free. */
export type When = 'now' | 'soon' | 'later';

const ORDER: readonly When[] = ['now', 'soon', 'later'];

/** A step for a model that waits. */
export interface PlannedStep extends Step {
  readonly when: When;
}

/** How a waiting model finds a place. */
export type WayIn =
  /** `unload`: who must be told to go for that, none of whom runs anything. `closed`: who takes nothing new meanwhile. */
  | {
      readonly kind: 'planned';
      readonly step: PlannedStep;
      readonly unload: readonly string[];
      readonly closed: readonly string[];
    }
  /** Not beside those who have waited longer. */
  | { readonly kind: 'behind' }
  /** Not even if everything that may go had gone. */
  | { readonly kind: 'never' };

/** What a model finds that asks for room. */
export interface Situation {
  readonly fits: Fits;
  /** Who may make room, the first to go first. */
  readonly leavers: readonly Leaver[];
  /** Those who have waited longer and those who have the place that they wait for: they make no room. */
  readonly asked: ReadonlySet<string>;
  /** Who goes already and runs nothing. */
  readonly going: ReadonlySet<string>;
  /** What those who have waited longer will do. */
  readonly plan: readonly PlannedStep[];
  /** Whether it has waited so long that others must make room when they can. */
  readonly hasTurn: boolean;
}

/** Finds the first way in that disturbs the fewest and leaves room for all who have waited longer. Pure. */
export function wayIn({ name }: ResidentView, situation: Situation): WayIn {
  const { fits, leavers, asked, going, plan, hasTurn } = situation;
  const takes = (when: When, leave: readonly string[]): PlannedStep => ({ come: name, when, leave });
  const isFree = (step: PlannedStep): boolean => fits(inTime([...plan, step]));

  const now = takes('now', []);
  if (isFree(now)) return { kind: 'planned', step: now, unload: [], closed: [] };

  const soon = (others: readonly Leaver[]): PlannedStep => takes('soon', [...going, ...namesOf(others)]);
  if (isFree(soon([]))) return { kind: 'planned', step: soon([]), unload: [], closed: [] };

  const others = leavers.filter(({ model }) => !asked.has(model.name));
  const atOnce: readonly Departure[] = hasTurn ? ['asleep', 'idle', 'queued'] : ['asleep', 'idle'];
  const free = others.filter(({ departure }) => atOnce.includes(departure));
  const victims = fewest(free, (some) => isFree(soon(some)));
  if (victims) return { kind: 'planned', step: soon(victims), unload: namesOf(victims), closed: [] };

  const later = (some: readonly Leaver[]): PlannedStep => takes('later', [...going, ...namesOf(some)]);
  const needed = fewest(others, (some) => isFree(later(some)));
  if (needed) return { kind: 'planned', step: later(needed), unload: [], closed: hasTurn ? closedOf(needed) : [] };

  const everybody = takes('now', namesOf(leavers.filter(({ model }) => model.name !== name)));
  return { kind: fits([everybody]) ? 'behind' : 'never' };
}

/** All at once, when each could go: until then, those that could would stand idle for nothing. */
function closedOf(needed: readonly Leaver[]): readonly string[] {
  if (needed.some(({ departure }) => departure === 'settling' || departure === 'coming')) return [];
  return namesOf(needed.filter(({ model }) => model.phase === 'ready'));
}

function inTime(plan: readonly PlannedStep[]): readonly PlannedStep[] {
  return plan.toSorted((one, other) => ORDER.indexOf(one.when) - ORDER.indexOf(other.when));
}

function namesOf(leavers: readonly Leaver[]): readonly string[] {
  return leavers.map(({ model }) => model.name);
}
