import type { ResidencyRules, ResidentView } from './resident.ts';

/**
 * How near a model is to making room. leaving: it goes anyway, when what runs on it has ended; asleep, idle: at once, for it
 * serves nobody; queued: at once, but its own requests wait; busy: when what runs has ended; settling: not before its
 * stay is over; coming: when it has been loaded, or started again, and has stayed.
 */
export type Departure = 'leaving' | 'asleep' | 'idle' | 'queued' | 'busy' | 'settling' | 'coming';

const ORDER: readonly Departure[] = ['leaving', 'asleep', 'idle', 'queued', 'busy', 'settling', 'coming'];

/** A model that may make room for another one. */
export interface Leaver {
  readonly model: ResidentView;
  readonly departure: Departure;
}

/** Who may ever make room, the first to go first; of those that are alike the least recently used, or the longest ready. */
export function leaversOf(models: readonly ResidentView[], nowMs: number, rules: ResidencyRules): readonly Leaver[] {
  return models
    .flatMap((model) => {
      const departure = departureOf(model, nowMs, rules);
      return departure ? [{ model, departure }] : [];
    })
    .sort(
      (one, other) => ORDER.indexOf(one.departure) - ORDER.indexOf(other.departure) || sinceMs(one) - sinceMs(other),
    );
}

/**
 * The fewest that have to go: adds them in order until they suffice, then spares those that are not needed, the last to go
 * first.
 *
 * @returns undefined: all of them do not suffice.
 */
export function fewest(
  leavers: readonly Leaver[],
  suffice: (leavers: readonly Leaver[]) => boolean,
): readonly Leaver[] | undefined {
  const count = leavers.findIndex((_, index) => suffice(leavers.slice(0, index + 1))) + 1;
  if (count === 0) return undefined;
  const enough = leavers.slice(0, count);
  // Without the last one they did not suffice.
  return enough.slice(0, -1).reduceRight<readonly Leaver[]>((kept, one) => {
    const rest = kept.filter((other) => other !== one);
    return suffice(rest) ? rest : kept;
  }, enough);
}

function departureOf(model: ResidentView, nowMs: number, rules: ResidencyRules): Departure | undefined {
  const { phase, running, waiting } = model;
  if (phase === 'leaving') return 'leaving';
  if (!model.onDemand || phase === 'absent') return undefined;
  if (phase === 'loading' || phase === 'failed') return 'coming';
  if (phase === 'asleep') return 'asleep';
  if (!isStayOver(model, nowMs, rules)) return 'settling';
  if (running > 0) return 'busy';
  return waiting === 0 ? 'idle' : 'queued';
}

function isStayOver({ readyAtMs = 0, waiting, waitingSinceMs }: ResidentView, nowMs: number, rules: ResidencyRules) {
  // Those for whom it was loaded are let in first, however short the stay: else it could come and go and serve nobody.
  const serves = waiting > 0 && waitingSinceMs !== undefined && waitingSinceMs <= readyAtMs;
  return !serves && nowMs >= readyAtMs + rules.minStayMs;
}

/** The order among those that are alike. When a busy one became ready does not change while it drains, so the choice stands. */
function sinceMs({ model, departure }: Leaver): number {
  const isIdle = departure === 'asleep' || departure === 'idle';
  // To wait for what sleeps is to use it.
  return (isIdle ? (model.waitingSinceMs ?? model.idleSinceMs) : model.readyAtMs) ?? 0;
}
