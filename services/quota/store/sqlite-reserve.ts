import { admission, outlook, transition } from '../admission.ts';
import type { LimitState } from '../budget.ts';
import { ended, type Figures } from '../lease.ts';
import type { KeptLease } from './kept-lease.ts';
import type { Demand, Reservation, Reserved } from './quota-store.ts';
import type { CounterStanding } from './sqlite-counters.ts';
import type { SqliteTables } from './sqlite-lease-operations.ts';

/** The figures of a lease that begins. */
export function demanded({ isCounted, promptBound, maxCompletionTokens, coveredTokens }: Demand): Figures {
  const nothingTold = { promptTokens: undefined, completionTokens: 0 };
  return { state: 'held', isCounted, promptBound, ...nothingTold, coveredTokens, maxCompletionTokens };
}

/** See QuotaStore.reserve. */
export function reserve(tables: SqliteTables, reservation: Reservation, nowMs: number): Reserved {
  const { counters, leases, subjects } = tables;
  const { reservationId, limits, holdMs } = reservation;
  const known = leases.find(reservationId, nowMs);
  if (known) return repeated(tables, known, reservation, nowMs);
  if (reservation.limitsVersion !== subjects.version()) return { kind: 'stale' };
  const figures = demanded(reservation);
  const standings = counters.standings(limits, nowMs);
  const { isAdmitted, states, statuses } = admission(standings, figures, nowMs);
  if (!isAdmitted) return { kind: 'refused', statuses };
  begin(tables, reservation, standings, states, nowMs);
  return { kind: 'admitted', expiresAtMs: nowMs + holdMs, coveredTokens: figures.coveredTokens, statuses };
}

/** What was admitted once is taken again, without asking. */
export function reserveAgain(tables: SqliteTables, reservation: Reservation, nowMs: number): void {
  const standings = tables.counters.standings(reservation.limits, nowMs);
  begin(tables, reservation, standings, transition(standings, undefined, demanded(reservation)), nowMs);
}

function begin(
  { counters, leases, journal }: SqliteTables,
  reservation: Reservation,
  standings: readonly CounterStanding[],
  states: readonly LimitState[],
  nowMs: number,
): void {
  const { reservationId, operationId, holder, model, limits, holdMs } = reservation;
  counters.keep(standings, states);
  const identity = { reservationId, operationId, holder, model, limits, counters: standings.map(({ from }) => from) };
  const times = { takenAtMs: nowMs, expiresAtMs: nowMs + holdMs, endedAtMs: 0 };
  leases.keep({ ...identity, ...demanded(reservation), ...times });
  journal.reserved(nowMs, reservation);
}

/** The answer to a reservation whose lease exists. */
function repeated({ counters }: SqliteTables, lease: KeptLease, asked: Reservation, nowMs: number): Reserved {
  if (lease.operationId !== asked.operationId) return { kind: 'taken' };
  if (lease.state !== 'held') return { kind: 'ended', state: lease.state };
  const { expiresAtMs, coveredTokens } = lease;
  const statuses = outlook(counters.standings(asked.limits, nowMs), NOTHING, nowMs);
  return { kind: 'admitted', expiresAtMs, coveredTokens, statuses };
}

/** Asks for nothing. */
const NOTHING = ended(
  demanded({ isCounted: false, promptBound: 0, maxCompletionTokens: 0, coveredTokens: 0 }),
  'settled',
);
