import { expect, test } from 'vitest';
import { type CrashHistory, decideRestart, delayAfter, NO_CRASHES, withCrash } from './restart-policy.ts';

function crashes(count: number, everyMs: number, readyForMs?: number): CrashHistory {
  let history = NO_CRASHES;
  for (let index = 0; index < count; index++) history = withCrash(history, index * everyMs, readyForMs);
  return history;
}

test('waits 1, 2, 4, 8 seconds, then gives up', () => {
  const decisions = [1, 2, 3, 4, 5].map((count) => decideRestart(crashes(count, 1_000, 500)));
  expect(decisions).toEqual([
    { kind: 'restart', delayMs: 1_000 },
    { kind: 'restart', delayMs: 2_000 },
    { kind: 'restart', delayMs: 4_000 },
    { kind: 'restart', delayMs: 8_000 },
    { kind: 'quarantine' },
  ]);
});

test('crashes far apart are no loop; the wait grows up to a minute', () => {
  expect(decideRestart(crashes(20, 200_000, 100_000))).toEqual({ kind: 'restart', delayMs: 60_000 });
});

test('an engine that ran well for long starts afresh', () => {
  expect(decideRestart(crashes(20, 700_000, 700_000))).toEqual({ kind: 'restart', delayMs: 1_000 });
});

test('starts that fail are a loop also when each takes very long', () => {
  expect(decideRestart(crashes(4, 3_600_000))).toMatchObject({ kind: 'restart' });
  expect(decideRestart(crashes(5, 3_600_000))).toEqual({ kind: 'quarantine' });
  expect(decideRestart(withCrash(crashes(4, 3_600_000), 20_000_000, 1))).toMatchObject({ kind: 'restart' });
});

test('the wait is the limits of whoever asks', () => {
  expect([1, 2, 3, 9].map((failures) => delayAfter(failures, { firstDelayMs: 5, maxDelayMs: 50 }))).toEqual([
    5, 10, 20, 50,
  ]);
});
