import { describe, expect, test } from 'vitest';
import { aliveSince, type Liveness, look, type Sighting } from './liveness.ts';

const LIMIT_MS = 60_000;
const IDLE: Omit<Sighting, 'atMs'> = { probe: { kind: 'answer' }, events: 0, running: 0, paused: 0, flowing: 0 };

/** Looks every second; returns the health after each look. */
function watch(seconds: number, seenAt: (second: number) => Partial<Sighting>): Liveness[] {
  const looks: Liveness[] = [];
  let liveness = aliveSince(0, 0);
  for (let second = 1; second <= seconds; second++) {
    liveness = look(liveness, { ...IDLE, ...seenAt(second), atMs: second * 1_000 }, LIMIT_MS);
    looks.push(liveness);
  }
  return looks;
}

/** The second in which an engine was seen to hang. Undefined: it was not. */
function hungAt(looks: readonly Liveness[]): number | undefined {
  const index = looks.findIndex(({ health }) => health === 'hung');
  return index < 0 ? undefined : index + 1;
}

const healthAfter = (looks: readonly Liveness[]) => looks.at(-1)?.health;
const LATE = { probe: { kind: 'late' } } as const;
const FAILED = { probe: { kind: 'failed' } } as const;
const decoding = { running: 1, flowing: 1 };

describe('hung', () => {
  test('running requests without token or step, although the endpoint answers', () => {
    expect(hungAt(watch(100, () => decoding))).toBe(60);
    const frozen = { probe: { kind: 'answer', step: 7 } } as const;
    // The first look learns the step.
    expect(hungAt(watch(100, () => ({ ...frozen, running: 1 })))).toBe(61);
  });

  test('no answer for as long, with nothing to do', () => {
    expect(hungAt(watch(100, () => LATE))).toBe(60);
    expect(hungAt(watch(100, () => FAILED))).toBe(60);
  });

  test('an engine without steps that has not begun to answer is given ten times as long', () => {
    expect(hungAt(watch(599, () => ({ running: 1 })))).toBeUndefined();
    expect(hungAt(watch(601, () => ({ running: 1 })))).toBe(600);
  });
});

describe('not hung', () => {
  test('steps frozen while nobody of ours waits, whatever the engine still counts as running', () => {
    expect(hungAt(watch(1_000, () => ({ probe: { kind: 'answer', step: 7 } })))).toBeUndefined();
  });

  test('too busy with a long prompt to tell its steps', () => {
    const told = { running: 1, probe: { kind: 'answer', step: 7 } } as const;
    const looks = watch(500, (second) => (second === 0 ? told : { ...LATE, running: 1 }));
    expect(hungAt(looks)).toBeUndefined();
  });

  test('busy and late for ever, while tokens flow', () => {
    const looks = watch(1_000, (second) => ({ ...LATE, ...decoding, events: Math.floor(second / 50) }));
    expect(hungAt(looks)).toBeUndefined();
    expect(healthAfter(looks)).toBe('well');
  });

  test('no token for long, while it steps through a long prompt', () => {
    const reading = (second: number) => ({ running: 1, probe: { kind: 'answer', step: second } as const });
    expect(hungAt(watch(1_000, reading))).toBeUndefined();
  });

  test('its readers want nothing', () => {
    const stalled = { running: 2, paused: 2, probe: { kind: 'answer', step: 7 } } as const;
    expect(hungAt(watch(1_000, () => stalled))).toBeUndefined();
    expect(hungAt(watch(100, () => ({ ...stalled, running: 3 })))).toBe(61);
  });

  test('idle for long', () => {
    expect(hungAt(watch(10_000, () => IDLE))).toBeUndefined();
  });

  test('we slept ourselves', () => {
    const before = look(aliveSince(0, 0), { ...IDLE, ...decoding, atMs: 1_000 }, LIMIT_MS);
    const woken = look(before, { ...IDLE, ...decoding, atMs: 10_000_000 }, LIMIT_MS);
    expect(woken.health).toBe('well');
    expect(woken.stillMs).toBe(11_000);
  });

  test('a metric that was set back moved', () => {
    const looks = watch(100, (second) => ({ running: 1, probe: { kind: 'answer', step: 100 - second } }));
    expect(hungAt(looks)).toBeUndefined();
  });
});

describe('unwell', () => {
  test('refused at once, late only the third time, and well again with the first answer', () => {
    expect(watch(4, () => LATE).map(({ health }) => health)).toEqual(['well', 'well', 'unwell', 'unwell']);
    expect(watch(3, (second) => (second === 2 ? FAILED : {})).map(({ health }) => health)).toEqual([
      'well',
      'unwell',
      'well',
    ]);
  });

  test('a busy engine is not unwell because it is slow to answer', () => {
    expect(healthAfter(watch(30, () => ({ ...LATE, running: 1 })))).toBe('well');
  });

  test('a refusal while tokens flow means nothing', () => {
    expect(healthAfter(watch(30, (second) => ({ ...FAILED, ...decoding, events: second })))).toBe('well');
  });
});
