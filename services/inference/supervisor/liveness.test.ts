import { describe, expect, test } from 'vitest';
import { aliveSince, type Health, type Liveness, look, type Sighting, unknownSince } from './liveness.ts';

const LIMIT_MS = 60_000;
const IDLE: Omit<Sighting, 'atMs'> = { probe: { kind: 'answer' }, events: 0, running: 0, paused: 0, flowing: 0 };

/** Looks every second; returns the health after each look. */
function watch(
  seconds: number,
  seenAt: (second: number) => Partial<Sighting>,
  begin: Liveness = aliveSince(0, 0),
): Liveness[] {
  const looks: Liveness[] = [];
  let liveness = begin;
  for (let second = 1; second <= seconds; second++) {
    liveness = look(liveness, { ...IDLE, ...seenAt(second), atMs: second * 1_000 }, LIMIT_MS);
    looks.push(liveness);
  }
  return looks;
}

/** The second in which an engine was seen to hang. Undefined: it was not. */
function hungAt(looks: readonly Liveness[], as: Health = 'hung'): number | undefined {
  const index = looks.findIndex(({ health }) => health === as);
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

  test('no answer for as long, with nothing to do or refused, is silence', () => {
    for (const outcome of [LATE, FAILED, { ...FAILED, ...decoding }]) {
      const looks = watch(100, () => outcome);
      expect(hungAt(looks, 'silent')).toBe(60);
      expect(hungAt(looks)).toBeUndefined();
    }
  });

  test('late answers of a busy engine are no silence', () => {
    expect(hungAt(watch(100, () => ({ ...LATE, ...decoding })))).toBe(60);
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

describe('hung, until something moves', () => {
  /** Hung after a minute, then seen once more. */
  const then = (seen: Partial<Sighting>) => healthAfter(watch(61, (second) => (second <= 60 ? decoding : seen)));

  test.each<[string, Partial<Sighting>, Health]>([
    ['an answer while a request waits', decoding, 'hung'],
    // Now it may be reading a prompt, for which it would have ten times as long.
    ['the stream that stood still is given up, another one waits', { running: 1 }, 'hung'],
    ['a late answer', { ...decoding, ...LATE }, 'hung'],
    ['a late answer with nothing to do', LATE, 'silent'],
    ['a refusal', { ...decoding, ...FAILED }, 'silent'],
    ['a token', { ...decoding, events: 1 }, 'well'],
    ['a token and a refusal', { ...decoding, ...FAILED, events: 1 }, 'well'],
    ['a step', { ...decoding, probe: { kind: 'answer', step: 7 } }, 'well'],
    ['an answer when nothing runs', {}, 'well'],
    ['an answer when its readers want nothing', { running: 1, paused: 1 }, 'well'],
  ])('%s', (_name, seen, health) => {
    expect(then(seen)).toBe(health);
  });
});

describe('unwell', () => {
  const healths = (...seen: Partial<Sighting>[]) =>
    watch(seen.length, (second) => seen[second - 1] ?? {}).map(({ health }) => health);
  const flowing = (second: number, outcome: Partial<Sighting>) => ({ ...decoding, ...outcome, events: second });

  test.each<[string, Partial<Sighting>[], Health[]]>([
    ['one refusal is not', [FAILED, {}, FAILED, {}], ['well', 'well', 'well', 'well']],
    ['two in a row are, until the first answer', [FAILED, FAILED, FAILED, {}], ['well', 'unwell', 'unwell', 'well']],
    ['two with a late answer between them are', [FAILED, LATE, FAILED], ['well', 'well', 'unwell']],
    [
      'two of an engine with work are',
      [
        { ...FAILED, running: 1 },
        { ...FAILED, running: 1 },
      ],
      ['well', 'unwell'],
    ],
    [
      'two with a token between them are not',
      [FAILED, flowing(1, FAILED), flowing(1, FAILED)],
      ['well', 'well', 'well'],
    ],
    [
      'late twice is not, the third time is',
      [LATE, LATE, LATE, LATE, {}],
      ['well', 'well', 'unwell', 'unwell', 'well'],
    ],
    ['late twice and then in time is not', [LATE, LATE, {}, LATE, LATE], ['well', 'well', 'well', 'well', 'well']],
  ])('%s', (_name, seen, expected) => {
    expect(healths(...seen)).toEqual(expected);
  });

  test('a busy engine is not unwell because it is slow to answer', () => {
    expect(healthAfter(watch(30, () => ({ ...LATE, running: 1 })))).toBe('well');
  });

  test('a refusal while tokens flow means nothing', () => {
    const looks = watch(30, (second) => flowing(second, FAILED));
    expect(new Set(looks.map(({ health }) => health))).toEqual(new Set(['well']));
  });

  test.each([LATE, FAILED])('one that has never answered is, until it does (%o)', (outcome) => {
    const looks = watch(3, (second) => (second < 3 ? outcome : {}), unknownSince(0));
    expect(looks.map(({ health }) => health)).toEqual(['unwell', 'unwell', 'well']);
  });
});
