import { extension, type Progress, released, transition } from '../admission.ts';
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
import type { KeptLease } from './kept-lease.ts';
import type { Ended, Extended } from './quota-store.ts';
import type { SqliteCounters } from './sqlite-counters.ts';
import type { SqliteJournal } from './sqlite-journal.ts';
import type { SqliteLeases } from './sqlite-leases.ts';
import type { SqliteLedger } from './sqlite-ledger.ts';
import type { SqliteSubjectLimits } from './sqlite-subject-limits.ts';

/** The tables of quota, and the journal of what happens to them. */
export interface SqliteTables {
  readonly journal: SqliteJournal;
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

/** See QuotaStore.extend. */
export function extend(tables: SqliteTables, id: string, progress: Progress, at: Moment): Extended {
  const { counters, leases, journal } = tables;
  const lease = leases.find(id, at.nowMs);
  const refusal = extending(lease);
  if (refusal || !lease) return refusal ?? { kind: 'unknown' };
  const standings = counters.standings(lease.limits, at.nowMs, lease.counters);
  const { figures, states } = extension(standings, lease, progress);
  counters.keep(standings, states);
  const expiresAtMs = at.nowMs + at.holdMs;
  leases.keep({ ...lease, ...figures, expiresAtMs });
  journal.extended(at.nowMs, id, progress, at.holdMs);
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
    tables.journal.settled(nowMs, id, used);
  });
}

/** See QuotaStore.release. */
export function release(tables: SqliteTables, id: string, nowMs: number): Ended {
  const lease = tables.leases.find(id, nowMs);
  return end(releasing(lease, nowMs), lease, nowMs, (from) => {
    const to = ended(from, 'released');
    const standings = tables.counters.standings(from.limits, nowMs, from.counters);
    tables.counters.keep(standings, released(standings, from, to, from.takenAtMs));
    tables.leases.keep({ ...from, ...to, endedAtMs: nowMs });
    tables.journal.released(nowMs, id);
  });
}

/** Settles a lease whose time is over at its last report. Not in the journal: the sweep writes it at once. */
export function expire(tables: SqliteTables, lease: KeptLease, nowMs: number): void {
  finish(tables, lease, ended(lease, 'expired'), '', nowMs);
}

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
  const standings = counters.standings(from.limits, nowMs, from.counters);
  counters.keep(standings, transition(standings, from, to));
  leases.keep({ ...from, ...to, endedAtMs: nowMs });
  ledger.add({ day: dayOf(nowMs), ...from.holder, model: from.model, engine, ...billOf(from, to) });
}
