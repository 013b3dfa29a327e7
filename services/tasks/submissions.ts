import { createHash, randomBytes } from 'node:crypto';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { LimitState } from '../../gen/mesh/quota/v1/limit_pb.ts';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { TraceHeaders } from '../shared/observability/trace-headers.ts';
import { countRequest } from './counted-request.ts';
import type { KnownModels } from './known-models.ts';
import { ownerOf } from './owner.ts';
import { requireOneText } from './request-rules.ts';
import type { Submission, Submitted, TaskStore } from './store/task-store.ts';
import type { Task } from './task.ts';
import { costOf, encodeWork, fingerprintOf } from './work.ts';

/** What submissions need. */
export interface SubmissionParts {
  readonly store: TaskStore;
  readonly quota: Client<typeof QuotaService>;
  readonly models: Pick<KnownModels, 'find'>;
  /** Tier → priority. */
  readonly priorities: Readonly<Record<string, number>>;
  /** The longest that one run may take, in milliseconds. */
  readonly timeLimitMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** What is submitted, and by whom. */
export interface NewTask {
  readonly request: GenerateRequest;
  readonly principal: Principal;
  readonly clientIp: string | undefined;
  /** The trace that its runs are parts of. */
  readonly trace?: TraceHeaders | undefined;
  /** Empty: none. */
  readonly idempotencyKey: string;
  /** Undefined: as configured; more than that counts as that. In milliseconds. */
  readonly timeLimitMs: number | undefined;
}

/** An accepted task, and the limits of its submitter; none where nothing was counted. */
export interface Accepted {
  readonly task: Task;
  readonly limits: readonly LimitState[];
}

/**
 * Accepts tasks: each counts as one request, when it is submitted and not when it runs.
 *
 * @throws MeshError INVALID_FIELD, UNSUPPORTED_FIELD, MODEL_NOT_FOUND, MODEL_NOT_GRANTED, ALREADY_EXISTS, RATE_LIMIT_EXCEEDED,
 * TOKEN_BUDGET_SPENT or STORE_UNAVAILABLE, with which the outcome is unknown.
 */
export async function submitTask(parts: SubmissionParts, task: NewTask): Promise<Accepted> {
  const { store, quota, models } = parts;
  const { request, principal, clientIp, idempotencyKey } = task;
  requireOneText(request);
  const submission = submissionOf(parts, task);
  const { owner, taskId, fingerprint } = submission;
  if (idempotencyKey !== '') {
    const before = await store.findByKey(owner, idempotencyKey, fingerprint);
    if (before) return { task: taskOf(before), limits: [] };
  }
  const model = await models.find(request, principal);
  const id = idempotencyKey === '' ? `task-${taskId}` : `task-${digestOf(owner, idempotencyKey, fingerprint)}`;
  const named = { model: model?.id ?? '', modelNames: model?.names ?? [] };
  const counted = await countRequest(quota, { id, principal, clientIp, ...named }, parts.log);
  // A failure leaves open whether it was accepted: it stays counted, and a repetition with the same key counts nothing.
  const submitted = await store.submit(submission);
  if (submitted.kind === 'conflict') await counted.undo();
  // The task is accepted, whatever quota hears: what it is not told it settles by itself.
  else void counted.keep();
  return { task: taskOf(submitted), limits: counted.limits };
}

function submissionOf(
  { priorities, timeLimitMs: longestMs, now }: SubmissionParts,
  { request, principal, clientIp, trace, idempotencyKey, timeLimitMs }: NewTask,
): Submission {
  const limitMs = Math.min(timeLimitMs ?? longestMs, longestMs);
  return {
    taskId: randomBytes(16).toString('hex'),
    owner: ownerOf(principal),
    organization: principal.organizationId,
    priority: Object.hasOwn(priorities, principal.tier) ? (priorities[principal.tier] ?? 0) : 0,
    cost: costOf(request),
    idempotencyKey,
    fingerprint: fingerprintOf(request),
    work: encodeWork({ request, principal, clientIp, trace, timeLimitMs: limitMs, submittedAtMs: now() }),
    endUser: request.endUser,
  };
}

function taskOf(submitted: Submitted): Task {
  if (submitted.kind !== 'conflict') return submitted.task;
  throw new MeshError('ALREADY_EXISTS', 'The idempotency key was used with another request. Choose another one.', {
    metadata: { kind: 'idempotency_key', id: '' },
  });
}

function digestOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
