import { expect, test } from 'vitest';
import type { Rule } from '../../services/quota/budget.ts';
import { steps } from './history.fixture.ts';
import { checkCharges } from './task-charges.ts';
import { checkTasks } from './task-checker.ts';
import type { ChargedTaskHistory, StoredTask } from './task-history.ts';

const ID = 'a1';
const limit = ['tokens', { kind: 'window', maximum: 100, stepMs: 1_000, steps: 60 } satisfies Rule] as const;
const counted = () => steps('task-x', limit, {}, { state: 'settled', promptTokens: 0, completionTokens: 0 });
const run = (attempt: number, completionTokens: number, change: object = {}) =>
  steps(`task_${ID}_${attempt}:r`, limit, { isCounted: false }, { state: 'settled', completionTokens, ...change });

const task: StoredTask = {
  ...{ taskId: ID, owner: 'key:k', state: 'completed', attempt: 2, result: ' t1 t2', idempotencyKey: 'c' },
  events: ['q', 'p1', 'd t1', 'q', 'p2', 'd t1', 'd t2', 'e'],
};

/** One task that ran twice, told and read, with some things changed. */
function history(changes: Partial<ChargedTaskHistory> = {}, ofTask: Partial<StoredTask> = {}): ChargedTaskHistory {
  const stored = { ...task, ...ofTask };
  const engine = { promptTokens: 8, isComplete: true, tellsTokens: false };
  return {
    submissions: [{ idempotencyKey: 'c', keyId: 'k', taskIds: [ID, ID], isCancelled: false }],
    ends: [{ taskId: ID, result: ' t1 t2' }],
    readers: [{ taskId: ID, events: [...task.events].map((event, i) => ({ id: i + 1, delta: deltaOf(event) })) }],
    stored: [stored],
    steps: [...counted(), ...run(1, 1), ...run(2, 2)],
    engines: [1, 2].map((madeTokens) => ({ ...engine, requestId: `task_${ID}_${madeTokens}`, madeTokens })),
    ...changes,
  };
}

const deltaOf = (event: string): string | undefined => (event.startsWith('d') ? event.slice(1) : undefined);

/** The rules that a history breaks. */
function broken(of: ChargedTaskHistory): string[] {
  return [...new Set([...checkTasks(of), ...checkCharges(of)].map((text) => text.replace(/:.*/s, '')))];
}

test('a history in which all is well', () => {
  expect([...checkTasks(history()), ...checkCharges(history())]).toEqual([]);
});

const submission = { idempotencyKey: 'c', keyId: 'k', taskIds: [ID], isCancelled: false };
const reader = (ids: readonly number[]) => [{ taskId: ID, events: ids.map((id) => ({ id, delta: undefined })) }];
test.each<[string, ChargedTaskHistory, string[]]>([
  ['a task that is gone', history({ stored: [], ends: [], readers: [], steps: counted() }), ['lost']],
  [
    'a task that never ended',
    history({ ends: [] }, { state: 'processing', events: task.events.slice(0, -1) }),
    ['lost', 'missed'],
  ],
  ['two ends', history({ readers: [] }, { events: [...task.events, 'e'] }), ['ended']],
  ['text behind the end', history({ readers: [] }, { events: [...task.events, 'd x'] }), ['ended', 'text']],
  ['an attempt that is not told', history({}, { attempt: 3 }), ['ended']],
  ['a result of another run', history({ ends: [] }, { result: ' t1' }), ['text']],
  ['a result that changed', history({ ends: [{ taskId: ID, result: ' t1' }] }), ['changed']],
  ['a failure that became a result', history({ ends: [{ taskId: ID, result: undefined }] }), ['changed']],
  ['two answers to one key', history({ submissions: [{ ...submission, taskIds: [ID, 'b2'] }] }), ['twice']],
  ['a task of nobody', history({}, { idempotencyKey: 'other' }), ['twice']],
  ['a reader that missed an event', history({ readers: reader([1, 2, 4]) }), ['missed']],
  ['a reader that got one twice', history({ readers: reader([1, 2, 2]) }), ['missed']],
  ['a submission that took no request', history({ steps: [...run(1, 1), ...run(2, 2)] }), ['counted']],
  ['one that took two', history({ steps: [...history().steps, ...steps('task-y', limit, {})] }), ['counted']],
  ['a run that took one', history({ steps: [...counted(), ...steps(`task_${ID}_1:r`, limit, {})] }), ['counted']],
  ['more charged than was made', history({ steps: [...counted(), ...run(1, 2), ...run(2, 2)] }), ['charged']],
  ['less than was written', history({ steps: [...counted(), ...run(1, 1), ...run(2, 1)] }), ['charged']],
  ['less of one that was killed', history({ steps: [...counted(), ...run(2, 1, { state: 'expired' })] }), []],
])('%s', (_what, of, rules) => {
  expect(broken(of)).toEqual(rules);
});

test('an attempt that is paid twice', () => {
  const again = steps(`task_${ID}_2:other`, limit, { isCounted: false }, { state: 'settled', completionTokens: 2 });
  expect(broken(history({ steps: [...history().steps, ...again] }))).toEqual(['charged']);
});

test('one key that is two tasks', () => {
  const twin = { ...task, taskId: 'b2', attempt: 0, state: 'failed' as const, events: ['q', 'e'], result: undefined };
  expect(broken(history({ stored: [task, twin] }))).toEqual(['twice']);
});
