import { expect, test } from 'vitest';
import { type CrashHistory, decideRestart, NO_CRASHES, withCrash } from './restart-policy.ts';

function crashes(count: number, everyMs: number, readyForMs = 0): CrashHistory {
  let history = NO_CRASHES;
  for (let index = 0; index < count; index++) history = withCrash(history, index * everyMs, readyForMs);
  return history;
}

test('waits 1, 2, 4, 8 seconds, then gives up', () => {
  const decisions = [1, 2, 3, 4, 5].map((count) => decideRestart(crashes(count, 1_000)));
  expect(decisions).toEqual([
    { kind: 'restart', delayMs: 1_000 },
    { kind: 'restart', delayMs: 2_000 },
    { kind: 'restart', delayMs: 4_000 },
    { kind: 'restart', delayMs: 8_000 },
    { kind: 'quarantine' },
  ]);
});

test('crashes far apart are no loop; the wait grows up to a minute', () => {
  expect(decideRestart(crashes(20, 200_000))).toEqual({ kind: 'restart', delayMs: 60_000 });
});

test('an engine that ran well for long starts afresh', () => {
  expect(decideRestart(crashes(20, 700_000, 700_000))).toEqual({ kind: 'restart', delayMs: 1_000 });
});
