import { isDeepStrictEqual } from 'node:util';
import { leaversOf } from './departure.ts';
import type { Fits, ResidencyRules, ResidentView, Step } from './resident.ts';
import { type PlannedStep, wayIn } from './way-in.ts';

export type * from './resident.ts';

/** Who goes. */
export interface Departing {
  readonly name: string;
  /** In words. */
  readonly why: string;
  /** Whether nobody needs its place and it was idle for too long: it has no reason to sleep rather than to end. */
  readonly isExpired: boolean;
}

/** Who comes and who goes. */
export interface ResidencyDecision {
  /** To start, or to wake, now and in this order. */
  readonly load: readonly string[];
  /** To stop, or to put to sleep, now. They run nothing and must be let run nothing from now on. */
  readonly unload: readonly Departing[];
  /** Ready ones that take nothing new: another one's turn has come. What runs on them goes on; their requests wait. */
  readonly closed: readonly string[];
  /** Waiting ones that would not fit even if everything that may go had gone. */
  readonly refused: readonly string[];
  /** When time alone changes the decision, in milliseconds on the same clock. Unset: never. */
  readonly againAtMs?: number | undefined;
}

/**
 * Decides which models are loaded and unloaded. The oldest waiting model comes first, and none that came after it takes the
 * room that it waits for. What runs is never unloaded, nor what is not on demand. Pure: to be asked again after every change
 * of a model and at `againAtMs`, and carried out at once.
 */
export function decideResidency(
  models: readonly ResidentView[],
  nowMs: number,
  rules: ResidencyRules,
  fits: Fits,
): ResidencyDecision {
  const remembered = rememberAnswers(fits);
  const decision = decideAt(models, nowMs, rules, remembered);
  const againAtMs = turningPointsMs(models, rules)
    .filter((atMs) => atMs > nowMs)
    .find((atMs) => !isDeepStrictEqual(decideAt(models, atMs, rules, remembered), decision));
  return { ...decision, againAtMs };
}

function decideAt(
  models: readonly ResidentView[],
  nowMs: number,
  rules: ResidencyRules,
  fits: Fits,
): Omit<ResidencyDecision, 'againAtMs'> {
  const expired = models.filter((model) => isExpired(model, nowMs));
  const unload: Departing[] = expired.map(({ name, ttlMs = 0 }) => ({
    name,
    why: `idle for its ttl of ${ttlMs / 1_000} s`,
    isExpired: true,
  }));
  const load: string[] = [];
  const closed = new Set<string>();
  const refused: string[] = [];
  const plan: PlannedStep[] = [];
  const asked = new Set<string>();
  const runsOut = models.filter(({ phase, running }) => phase === 'leaving' && running === 0);
  const going = new Set([...runsOut, ...expired].map(({ name }) => name));
  const leavers = leaversOf(models, nowMs, rules);
  for (const { model, sinceMs } of wantedOf(models)) {
    asked.add(model.name);
    // Asleep, and to make room for one that has waited longer.
    if (plan.some(({ leave }) => leave.includes(model.name))) continue;
    const hasTurn = nowMs >= sinceMs + rules.turnMs;
    const way = wayIn(model, { fits, leavers, asked, going, plan, hasTurn });
    if (way.kind === 'never') refused.push(model.name);
    if (way.kind !== 'planned') continue;
    plan.push(way.step);
    if (way.step.when === 'now') load.push(model.name);
    for (const name of way.closed) closed.add(name);
    for (const name of way.unload) {
      unload.push({ name, why: `makes room for '${model.name}'`, isExpired: false });
      going.add(name);
    }
  }
  return { load, unload, closed: [...closed].filter((name) => !going.has(name)), refused };
}

/** Those that wait for a place, who has waited longest first. */
function wantedOf(
  models: readonly ResidentView[],
): readonly { readonly model: ResidentView; readonly sinceMs: number }[] {
  return models
    .filter(({ phase, waiting }) => waiting > 0 && (phase === 'absent' || phase === 'asleep'))
    .map((model) => ({ model, sinceMs: model.waitingSinceMs ?? 0 }))
    .sort((one, other) => one.sinceMs - other.sinceMs);
}

function isExpired(model: ResidentView, nowMs: number): boolean {
  const atMs = expiryMs(model);
  return atMs !== undefined && nowMs >= atMs;
}

/** When a model goes because nobody has used it. Undefined: not by itself, or not while it is used. */
function expiryMs({ onDemand, phase, running, waiting, idleSinceMs, ttlMs }: ResidentView): number | undefined {
  if (!onDemand || phase !== 'ready' || running > 0 || waiting > 0) return undefined;
  return idleSinceMs === undefined || ttlMs === undefined ? undefined : idleSinceMs + ttlMs;
}

/** Every moment at which a rule may answer otherwise than before, in order. Computed as the rules compute them. */
function turningPointsMs(models: readonly ResidentView[], rules: ResidencyRules): readonly number[] {
  const wanted = wantedOf(models);
  const ready = wanted.length === 0 ? [] : models.filter(({ onDemand, phase }) => onDemand && phase === 'ready');
  const points = [
    ...models.map(expiryMs),
    ...ready.map(({ readyAtMs = 0 }) => readyAtMs + rules.minStayMs),
    ...wanted.map(({ sinceMs }) => sinceMs + rules.turnMs),
  ];
  return points.filter((atMs) => atMs !== undefined).sort((one, other) => one - other);
}

/** The same question is asked for every moment that is looked at, and finding a place takes a while. */
function rememberAnswers(fits: Fits): Fits {
  const answers = new Map<string, boolean>();
  return (plan) => {
    const question = JSON.stringify(plan satisfies readonly Step[]);
    const known = answers.get(question);
    if (known !== undefined) return known;
    const answer = fits(plan);
    answers.set(question, answer);
    return answer;
  };
}
