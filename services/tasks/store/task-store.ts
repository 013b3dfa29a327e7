import type { Outcome, Task } from '../task.ts';
import type { TaskListener } from '../task-listeners.ts';

/** A task to be accepted. */
export interface Submission {
  readonly taskId: string;
  readonly owner: string;
  /** Who shares turns: all of one organisation together. */
  readonly organization: string;
  /** The higher goes first. An integer. */
  readonly priority: number;
  /** What it takes of its organisation's share, in tokens; at least 1. */
  readonly cost: number;
  /** Makes a second submission of the owner return the same task. Empty: every submission is a task. */
  readonly idempotencyKey: string;
  /** Tells one request from another under the same idempotency key. */
  readonly fingerprint: string;
  /** What a worker needs to run it; opaque here. */
  readonly work: Uint8Array;
  readonly endUser: string;
}

/** What became of a submission. */
export type Submitted =
  | { readonly kind: 'accepted'; readonly task: Task }
  /** The same was submitted before. */
  | { readonly kind: 'known'; readonly task: Task }
  /** The idempotency key stands for another request. */
  | { readonly kind: 'conflict' };

/** The right to write for a task. It ends with its lease, and with any later attempt. */
export interface Claim {
  readonly taskId: string;
  readonly attempt: number;
}

/** A task that was given to a worker. */
export interface ClaimedTask extends Claim {
  readonly work: Uint8Array;
}

/** Something that happened to a task; ids grow by one, from 1. */
export type TaskEvent = { readonly eventId: number } & (
  | { readonly kind: 'queued' }
  /** A run begins; the result begins anew. */
  | { readonly kind: 'processing'; readonly attempt: number }
  /** Text to append to the result. */
  | { readonly kind: 'delta'; readonly text: string }
  /** The last one. The outcome stands in the task. */
  | { readonly kind: 'ended' }
);

/** Why a task goes back into the queue. */
export interface PutBack {
  /** Nothing runs it earlier, in milliseconds from now. */
  readonly delayMs: number;
  /** Whether the run counts towards the most attempts; with the last one the task fails with `failure`. */
  readonly consumed: boolean;
  readonly failure: Extract<Outcome, { readonly state: 'failed' }>['failure'];
}

/** What cancelling came to. */
export type Cancelled =
  | { readonly kind: 'cancelled'; readonly task: Task }
  | { readonly kind: 'ended'; readonly task: Task }
  | { readonly kind: 'unknown' };

/** A page of tasks, the newest first. */
export interface TaskPage {
  readonly tasks: readonly Task[];
  /** Where the next page begins; undefined: there is none. */
  readonly next: string | undefined;
}

/**
 * Tasks, their events and the queue. Each call is one atomic step; what was answered survives a kill of every process. What
 * holds a claim and is refused (`false`) has lost it: a later attempt runs, or the task was ended. Every method rejects with
 * MeshError STORE_UNAVAILABLE when the outcome is unknown; all of them may then be repeated.
 */
export interface TaskStore {
  /** Accepts a task, or finds the one of the same owner and idempotency key, which is kept as long as that task. */
  submit(submission: Submission): Promise<Submitted>;
  /** The task of an idempotency key; undefined: none. Saves a request from being counted before it turns out to be known. */
  findByKey(owner: string, idempotencyKey: string, fingerprint: string): Promise<Submitted | undefined>;
  /** The task, its position included; undefined: unknown or forgotten. */
  find(taskId: string): Promise<Task | undefined>;
  /** Tasks of an owner; `after` is where an earlier page ended. */
  list(owner: string, limit: number, after: string | undefined): Promise<TaskPage>;
  /**
   * Gives at most `most` tasks to a worker, for `leaseMs`: of the highest level (priority, and one more for each `ageingMs` of
   * waiting) first, within it in the order of queue-order.ts. Lost replies cost an attempt at most: the lease ends.
   */
  claim(most: number, leaseMs: number): Promise<readonly ClaimedTask[]>;
  /** Renews leases. Returns those that are lost. */
  renew(claims: readonly Claim[], leaseMs: number): Promise<readonly Claim[]>;
  /** Adds a delta event. `sequence` counts the deltas of the attempt from 0, so that a repeated call adds nothing. */
  append(claim: Claim, sequence: number, text: string): Promise<boolean>;
  /** Ends the task. Repeated by the same attempt: true. */
  finish(claim: Claim, outcome: Outcome): Promise<boolean>;
  /** Returns a task to its old place in the queue, or ends it when that was its last attempt. */
  putBack(claim: Claim, reason: PutBack): Promise<boolean>;
  /** Ends a task of its owner as failed with "Cancelled". Whoever runs it has lost it. */
  cancel(taskId: string, owner: string): Promise<Cancelled>;
  /** Events after one, in order, at most `limit` and about `maxBytes`; empty: no newer ones. Undefined: unknown task. */
  events(taskId: string, after: number, limit: number, maxBytes: number): Promise<readonly TaskEvent[] | undefined>;
  /**
   * Puts back what lost its worker, as consumed; forgets what is past its time. A bounded number at a time; returns whether there
   * may be more.
   */
  sweep(): Promise<boolean>;
  /**
   * Calls back when something has happened to a task, in this process or another. Returns what ends it. News may be lost: whoever
   * must not miss anything looks by itself once a second too.
   */
  watch(listener: TaskListener): () => void;
  /** Ends watches. */
  close(): void;
}

/** What both drivers are told. */
export interface TaskStoreOptions {
  /** How long an ended task is kept, in milliseconds. */
  readonly resultTtlMs: number;
  /** After so many consumed attempts a task fails. */
  readonly maxAttempts: number;
  /** After how long in the queue a task counts as one priority higher, in milliseconds. */
  readonly ageingMs: number;
  /** Milliseconds since the epoch; the shared store goes by its server's clock where it is unset. */
  readonly now?: (() => number) | undefined;
}
