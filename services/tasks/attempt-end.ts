import type { MeshError } from '../shared/errors/mesh-error.ts';
import type { Reason } from '../shared/errors/reasons.ts';
import { TIME_LIMIT_EXCEEDED } from './failures.ts';
import type { PutBack } from './store/task-store.ts';
import type { Failure, Outcome, TokenUsage } from './task.ts';

/** What becomes of a task whose run failed. */
export type AttemptEnd =
  | { readonly kind: 'finish'; readonly outcome: Extract<Outcome, { readonly state: 'failed' }> }
  | { readonly kind: 'put-back'; readonly reason: PutBack };

/** How a run failed. */
export interface FailedAttempt {
  readonly error: MeshError;
  /** Which run it was, from 1. */
  readonly attempt: number;
  /** Whether tokens had come. */
  readonly hasTokens: boolean;
  /** Whether the time limit of the run was over. */
  readonly isLate: boolean;
  /** Whether it was ended because this process ends. */
  readonly isStopping: boolean;
  /** How long ago the task was submitted, in milliseconds. */
  readonly ageMs: number;
  readonly usage: TokenUsage | undefined;
}

/** How long a task that nothing can run is kept in the queue, in milliseconds. */
const PATIENCE_MS = 24 * 3_600_000;

/** The wait after a first failure, and the longest, in milliseconds. */
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 30_000;

/** The longest wait that is taken over from a limit, in milliseconds: it may be raised meanwhile. */
const LONGEST_TOLD_MS = 3_600_000;

/** What says nothing about the task: it is run again and no attempt is used up. `ENGINE_LOST` and others are attempts. */
const LATER: ReadonlySet<Reason> = new Set([
  'RATE_LIMIT_EXCEEDED',
  'TOKEN_BUDGET_SPENT',
  'QUEUE_FULL',
  'NO_HEALTHY_ENGINE',
  'ENGINE_BUSY',
  'MODEL_NOT_LOADED',
  // It was there when the task was submitted: a router that starts anew does not know its nodes yet.
  'MODEL_NOT_FOUND',
  'STORE_UNAVAILABLE',
  'PEER_UNAVAILABLE',
  // The hosts' clocks differ, or their tokens: it says nothing of the submitter.
  'PEER_ONLY',
  // The limits changed faster than quota could read them.
  'CONFLICT',
]);

/** What another run may do better. */
const AGAIN: ReadonlySet<Reason> = new Set([
  ...LATER,
  ...([
    'SHUTTING_DOWN',
    'ENGINE_LOST',
    'ENGINE_FAILED',
    'DEADLINE_EXCEEDED',
    'INTERNAL',
    'CLIENT_STALLED',
    'CLIENT_GONE',
  ] as const),
]);

/** Decides what becomes of a task whose run failed. Pure. */
export function attemptEnd(failed: FailedAttempt): AttemptEnd {
  const { error, hasTokens, isLate, isStopping, ageMs, usage } = failed;
  const { reason, metadata } = error;
  if (isStopping) return putBack(failed, { delayMs: 0, consumed: false });
  if (isLate) return finish(TIME_LIMIT_EXCEEDED, usage);
  if (!AGAIN.has(reason) || metadata.never === 'true') return finish(failureOf(error), usage);
  // Another process ends, a router or an engine's: whatever it had made, the task is not to blame.
  const isLater = reason === 'SHUTTING_DOWN' || (LATER.has(reason) && !hasTokens);
  if (!isLater) return putBack(failed, { delayMs: delayMs(failed), consumed: true });
  if (ageMs > PATIENCE_MS) return finish(failureOf(error), usage);
  return putBack(failed, { delayMs: delayMs(failed), consumed: false });
}

/** An error as a task tells it: ENGINE_LOST → EngineLost. */
export function failureOf({ reason, message }: MeshError): Failure {
  const words = reason.toLowerCase().split('_');
  return { type: words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join(''), message };
}

function finish(failure: Failure, usage: TokenUsage | undefined): AttemptEnd {
  return { kind: 'finish', outcome: { state: 'failed', failure, usage } };
}

function putBack({ error }: FailedAttempt, how: Omit<PutBack, 'failure'>): AttemptEnd {
  return { kind: 'put-back', reason: { ...how, failure: failureOf(error) } };
}

function delayMs({ error, attempt }: FailedAttempt): number {
  const backoffMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 20));
  return Math.max(backoffMs, Math.min(Math.ceil(error.retryAfterMs ?? 0), LONGEST_TOLD_MS));
}
