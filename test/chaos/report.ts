import type { Verdict } from './checker.ts';
import type { FaultCounts } from './faults.ts';
import type { History } from './history.ts';

/** A run in a few lines. */
export function reportOf(
  { clients, engines, steps, bills }: History,
  { leases, fullness, lateSettlements, undoneTooLate, beyondLimits, violations }: Verdict,
  faults: FaultCounts & { readonly droppedReplies: number; readonly loadMs: number },
): string {
  const { kills, shortStops, longStops, storeStops, drops, droppedReplies, loadMs } = faults;
  const outcomes = Object.entries(Object.groupBy(clients, ({ outcome }) => outcome))
    .map(([outcome, all = []]) => `${all.length} ${outcome}`)
    .join(', ');
  const made = engines.reduce((sum, { madeTokens }) => sum + madeTokens, 0);
  const billed = [...bills.values()].reduce((sum, { completionTokens }) => sum + completionTokens, 0);
  const full = fullness.filter(({ most, maximum }) => most >= maximum - 1e-6).length;
  const over = fullness.filter(({ most, maximum }) => most > maximum + 1e-6).length;
  return [
    `requests: ${clients.length} in ${Math.round(loadMs / 1_000)} s: ${outcomes}`,
    `faults: ${kills} kills, ${shortStops} short and ${longStops} long stops, ${storeStops} stops of Redis, ` +
      `${droppedReplies} replies dropped in ${drops} cuts`,
    `leases: ${leases.settled} settled (${lateSettlements} late), ${leases.released} released, ${leases.expired} expired ` +
      `(${undoneTooLate} before anything was used); ` +
      `${steps.length} steps of the store`,
    `tokens: ${made} made, ${billed} billed, ${Math.round(beyondLimits)} of late settlements beyond limits`,
    `limits: ${fullness.length}, of which ${full} were full to the last unit and ${over} over`,
    `violations: ${violations.length}`,
  ].join('\n');
}
