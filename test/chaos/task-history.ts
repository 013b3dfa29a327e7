import type { History } from './history.ts';

/** What a client submitted, until it was accepted or refused, and how it ended for the client. */
export interface SubmissionRecord {
  readonly idempotencyKey: string;
  readonly keyId: string;
  /** The id that each answer had; none: it was refused. */
  readonly taskIds: readonly string[];
  /** Whether the client sent a cancellation. */
  readonly isCancelled: boolean;
}

/** An end that a client was told. */
export interface ToldEnd {
  readonly taskId: string;
  /** The result; undefined: it had failed. */
  readonly result: string | undefined;
}

/** What a reader got who came back with the id of its last event whenever the stream broke. */
export interface ReadEvents {
  readonly taskId: string;
  readonly events: readonly { readonly id: number; readonly delta: string | undefined }[];
}

/** A task as the store has it at the end. */
export interface StoredTask {
  readonly taskId: string;
  readonly owner: string;
  readonly state: 'queued' | 'processing' | 'completed' | 'failed';
  readonly attempt: number;
  readonly result: string | undefined;
  readonly idempotencyKey: string;
  /** All entries: "q", "p" and the attempt, "d" and the text, "e". */
  readonly events: readonly string[];
}

/** What a run recorded of tasks. */
export interface TaskHistory {
  readonly submissions: readonly SubmissionRecord[];
  readonly ends: readonly ToldEnd[];
  readonly readers: readonly ReadEvents[];
  readonly stored: readonly StoredTask[];
}

/** With what it recorded of quota and engines. */
export type ChargedTaskHistory = TaskHistory & Pick<History, 'steps' | 'engines'>;
