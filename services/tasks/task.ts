/** Where a task is in its life. It leaves `completed` and `failed` no more. */
export type TaskState = 'queued' | 'processing' | 'completed' | 'failed';

/** Why a task failed; see TaskFailure of the contract. */
export interface Failure {
  readonly type: string;
  readonly message: string;
}

/** What a task's generation took. */
export interface TokenUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** How a task ends. */
export type Outcome =
  | { readonly state: 'completed'; readonly result: string; readonly usage: TokenUsage }
  | { readonly state: 'failed'; readonly failure: Failure; readonly usage?: TokenUsage | undefined };

/** A task as it is. Times are milliseconds since the epoch. */
export interface Task {
  readonly taskId: string;
  /** Who submitted it, and alone may see it. */
  readonly owner: string;
  readonly state: TaskState;
  /** Its place in the queue, from 1. 0: it is not queued. */
  readonly position: number;
  /** Counts the runs; the present or last run has this number, and whoever has an earlier one may write nothing. */
  readonly attempt: number;
  readonly endUser: string;
  readonly submittedAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  /** When it is forgotten. Undefined: it has not ended. */
  readonly expiresAtMs: number | undefined;
  readonly outcome: Outcome | undefined;
}
