import { admission, extension, outlook, type Progress, released, transition } from '../admission.ts';
import {
  billOf,
  type Consumption,
  type Ending,
  ended,
  extending,
  type Figures,
  releasing,
  settling,
} from '../lease.ts';
import type { Demand, Ended, Extended, Reservation, Reserved } from './quota-store.ts';
import type { SqliteCounters } from './sqlite-counters.ts';
import type { KeptLease, SqliteLeases } from './sqlite-leases.ts';
import type { SqliteLedger } from './sqlite-ledger.ts';
import type { SqliteSubjectLimits } from './sqlite-subject-limits.ts';

/** The tables of quota. */
export interface SqliteTables {
  readonly counters: SqliteCounters;
  readonly leases: SqliteLeases;
  readonly ledger: SqliteLedger;
  readonly subjects: SqliteSubjectLimits;
}

/** What a settlement says. */
export type Used = Consumption & { readonly engine: string };

const DAY_MS = 86_400_000;

/** The UTC day of a moment, counted from 1970-01-01. */
export function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}

/** The figures of a lease that begins. */
export function demanded({ isCounted, promptBound, maxCompletionTokens, coveredTokens }: Demand): Figures {
  const nothingTold = { promptTokens: undefined, completionTokens: 0 };
  return { state: 'held', isCounted, promptBound, ...nothingTold, coveredTokens, maxCompletionTokens };
}

/** See QuotaStore.reserve. */
export function reserve(tables: SqliteTables, reservation: Reservation, nowMs: number): Reserved {
  const { counters, leases, subjects } = tables;
  const { reservationId, operationId, holder, model, limits, holdMs } = reservation;
  const known = leases.find(reservationId, nowMs);
  if (known) return repeated(tables, known, reservation, nowMs);
  if (reservation.limitsVersion !== subjects.version()) return { kind: 'stale' };
  const figures = demanded(reservation);
  const standings = counters.standings(limits, nowMs);
  const { isAdmitted, states, statuses } = admission(standings, figures, nowMs);
  if (!isAdmitted) return { kind: 'refused', statuses };
  counters.keep(limits, standings, states);
  const expiresAtMs = nowMs + holdMs;
  const identity = { reservationId, operationId, holder, model, limits };
  leases.add({ ...identity, ...figures, takenAtMs: nowMs, expiresAtMs, endedAtMs: 0 });
  return { kind: 'admitted', expiresAtMs, coveredTokens: figures.coveredTokens, statuses };
}

/** See QuotaStore.extend. */
export function extend(tables: SqliteTables, id: string, progress: Progress, at: Moment): Extended {
  const lease = tables.leases.find(id, at.nowMs);
  const refusal = extending(lease);
  if (refusal || !lease) return refusal ?? { kind: 'unknown' };
  const standings = tables.counters.standings(lease.limits, at.nowMs);
  const { figures, states } = extension(standings, lease, progress);
  tables.counters.keep(lease.limits, standings, states);
  const expiresAtMs = at.nowMs + at.holdMs;
  tables.leases.renew(lease, figures, expiresAtMs);
  return { kind: 'held', expiresAtMs, coveredTokens: figures.coveredTokens };
}

/** When something happens, and for how long it holds, in milliseconds. */
export interface Moment {
  readonly nowMs: number;
  readonly holdMs: number;
}

/** See QuotaStore.settle. */
export function settle(tables: SqliteTables, id: string, used: Used, nowMs: number): Ended {
  const lease = tables.leases.find(id, nowMs);
  const { promptTokens, completionTokens, engine } = used;
  return end(settling(lease, used), lease, nowMs, (from) => {
    const to = ended(from, 'settled', { promptTokens, completionTokens });
    finish(tables, from, to, engine, nowMs);
  });
}

/** See QuotaStore.release. */
export function release(tables: SqliteTables, id: string, nowMs: number): Ended {
  const lease = tables.leases.find(id, nowMs);
  return end(releasing(lease, nowMs), lease, nowMs, (from) => {
    const to = ended(from, 'released');
    const standings = tables.counters.standings(from.limits, nowMs);
    tables.counters.keep(from.limits, standings, released(standings, from, to, from.takenAtMs));
    tables.leases.end(from, to, nowMs);
  });
}

/** Settles a lease whose time is over at its last report. */
export function expire(tables: SqliteTables, lease: KeptLease, nowMs: number): void {
  finish(tables, lease, ended(lease, 'expired'), '', nowMs);
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

/** Carries an ending out, at most once. */
function end(ending: Ending, lease: KeptLease | undefined, nowMs: number, act: (lease: KeptLease) => void): Ended {
  if (ending.kind === 'repeated') return { kind: 'done', endedAtMs: ending.endedAtMs };
  if (ending.kind !== 'end') return ending;
  if (lease) act(lease);
  return { kind: 'done', endedAtMs: nowMs };
}

/** Ends a lease as settled or expired and bills it. */
function finish(tables: SqliteTables, from: KeptLease, to: Figures, engine: string, nowMs: number): void {
  const { counters, leases, ledger } = tables;
  const standings = counters.standings(from.limits, nowMs);
  counters.keep(from.limits, standings, transition(standings, from, to));
  leases.end(from, to, nowMs);
  ledger.add({ day: dayOf(nowMs), ...from.holder, model: from.model, engine, ...billOf(from, to) });
}
