import { expect, test } from 'vitest';
import { type ClaimFacts, doesCount } from './claim-facts.ts';

const HOUR_MS = 3_600_000;

test.each<[string, ClaimFacts, boolean]>([
  ['of a living mesh, however old', { ownerIsAlive: true, engineIsThere: undefined, ageMs: HOUR_MS }, true],
  ['of a dead one whose engine lives', { ownerIsAlive: false, engineIsThere: true, ageMs: HOUR_MS }, true],
  ['of a dead one and a dead engine, however new', { ownerIsAlive: false, engineIsThere: false, ageMs: 0 }, false],
  [
    "of a dead one, the engine another user's, renewed",
    { ownerIsAlive: false, engineIsThere: undefined, ageMs: 60_000 },
    true,
  ],
  [
    "of a dead one, the engine another user's, not renewed",
    { ownerIsAlive: false, engineIsThere: undefined, ageMs: 60_001 },
    false,
  ],
  ['of another container, renewed', { ownerIsAlive: undefined, engineIsThere: undefined, ageMs: 60_000 }, true],
  ['of another container, not renewed', { ownerIsAlive: undefined, engineIsThere: undefined, ageMs: 60_001 }, false],
  ['renewed by a clock that is ahead', { ownerIsAlive: undefined, engineIsThere: undefined, ageMs: -5_000 }, true],
])('a claim %s', (_, facts, counts) => {
  expect(doesCount(facts)).toBe(counts);
});
