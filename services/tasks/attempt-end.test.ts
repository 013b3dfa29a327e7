import { expect, test } from 'vitest';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Reason } from '../shared/errors/reasons.ts';
import { attemptEnd, type FailedAttempt } from './attempt-end.ts';

const failed = (reason: Reason, changes: Partial<FailedAttempt> = {}): FailedAttempt => ({
  ...{ error: new MeshError(reason, 'why'), attempt: 1, hasTokens: false, isLate: false, isStopping: false },
  ...{ ageMs: 0, usage: undefined },
  ...changes,
});

test.each<Reason>([
  'RATE_LIMIT_EXCEEDED',
  'QUEUE_FULL',
  'NO_HEALTHY_ENGINE',
  'MODEL_NOT_FOUND',
  'STORE_UNAVAILABLE',
  'PEER_ONLY',
  'CONFLICT',
])('%s before the first token uses up no attempt', (reason) => {
  expect(attemptEnd(failed(reason))).toMatchObject({ kind: 'put-back', reason: { consumed: false } });
});

test.each<Reason>(['ENGINE_LOST', 'ENGINE_FAILED', 'INTERNAL', 'DEADLINE_EXCEEDED'])(
  '%s uses up an attempt',
  (reason) => {
    expect(attemptEnd(failed(reason))).toMatchObject({ kind: 'put-back', reason: { consumed: true } });
  },
);

test('what breaks after tokens had come uses up an attempt, whatever it is', () => {
  expect(attemptEnd(failed('PEER_UNAVAILABLE', { hasTokens: true }))).toMatchObject({ reason: { consumed: true } });
});

test('a process that shuts down uses up none, also in mid-text, and delays nothing', () => {
  const end = attemptEnd(failed('SHUTTING_DOWN', { hasTokens: true, isLate: true, isStopping: true }));
  expect(end).toMatchObject({ kind: 'put-back', reason: { consumed: false, delayMs: 0 } });
});

test('while another process shuts down it is not tried again at once', () => {
  const error = new MeshError('SHUTTING_DOWN', 'why', { retryAfterMs: 1_000 });
  const end = attemptEnd(failed('SHUTTING_DOWN', { error, hasTokens: true }));
  expect(end).toMatchObject({ kind: 'put-back', reason: { consumed: false, delayMs: 1_000 } });
});

test.each<Reason>(['INVALID_FIELD', 'CONTEXT_LENGTH_EXCEEDED', 'CREDENTIAL_INVALID', 'MODEL_NOT_GRANTED'])(
  '%s is the end, under its own name',
  (reason) => {
    const { outcome } = attemptEnd(failed(reason)) as { outcome: { failure: { type: string } } };
    expect(outcome.failure.type.toUpperCase()).toBe(reason.replaceAll('_', ''));
  },
);

test('the time limit is the end, with the bill where there is one', () => {
  const usage = { promptTokens: 3, completionTokens: 4 };
  expect(attemptEnd(failed('DEADLINE_EXCEEDED', { isLate: true, usage }))).toMatchObject({
    kind: 'finish',
    outcome: { state: 'failed', failure: { type: 'TaskTimeLimitExceeded' }, usage },
  });
});

test('a budget that is spent is waited for, one that never allows it is not', () => {
  const spent = (metadata: Record<string, string>) =>
    attemptEnd(failed('TOKEN_BUDGET_SPENT', { error: new MeshError('TOKEN_BUDGET_SPENT', 'why', { metadata }) }));
  expect(spent({ limit: 'x' })).toMatchObject({ kind: 'put-back', reason: { consumed: false } });
  expect(spent({ limit: 'x', never: 'true' })).toMatchObject({ kind: 'finish' });
});

test('the wait is the one that was told, at least a growing one, at most an hour', () => {
  const delay = (attempt: number, retryAfterMs?: number): number => {
    const error = new MeshError('RATE_LIMIT_EXCEEDED', 'why', retryAfterMs === undefined ? {} : { retryAfterMs });
    const end = attemptEnd(failed('RATE_LIMIT_EXCEEDED', { error, attempt }));
    return end.kind === 'put-back' ? end.reason.delayMs : Number.NaN;
  };
  expect([delay(1), delay(2), delay(3), delay(100)]).toEqual([250, 500, 1_000, 30_000]);
  expect([delay(1, 7_000), delay(1, 86_400_000)]).toEqual([7_000, 3_600_000]);
});

test('nothing waits for ever for what does not come', () => {
  const day = 24 * 3_600_000;
  expect(attemptEnd(failed('NO_HEALTHY_ENGINE', { ageMs: day }))).toMatchObject({ kind: 'put-back' });
  expect(attemptEnd(failed('NO_HEALTHY_ENGINE', { ageMs: day + 1 }))).toMatchObject({
    outcome: { failure: { type: 'NoHealthyEngine', message: 'why' } },
  });
});
