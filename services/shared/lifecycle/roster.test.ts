import { expect, test } from 'vitest';
import { NumberedRoster } from './numbered-roster.ts';
import { Roster } from './roster.ts';

test('who came and did not leave is present, once for each time', () => {
  const roster = new Roster<string>();
  const leaveA = roster.add('a');
  roster.add('b');
  const again = roster.add('a');
  expect([...roster].sort()).toEqual(['a', 'a', 'b']);
  leaveA();
  expect(roster.size).toBe(2);
  roster.add('c');
  // The slot is somebody else's now.
  leaveA();
  expect([...roster].sort()).toEqual(['a', 'b', 'c']);
  again();
  expect([...roster].sort()).toEqual(['b', 'c']);
});

test('who leaves while it is looked through is not met', () => {
  const roster = new Roster<string>();
  const leave = new Map(['a', 'b', 'c'].map((name) => [name, roster.add(name)]));
  const met: string[] = [];
  for (const name of roster) {
    met.push(name);
    leave.get('a')?.();
    leave.get('b')?.();
  }
  expect(met).toEqual(['a', 'c']);
  expect(roster.size).toBe(1);
});

test('it grows no larger than the most that were present at once', () => {
  const roster = new Roster<number>();
  for (let round = 0; round < 1_000; round++) {
    const leaves = Array.from({ length: 8 }, (_, index) => roster.add(index));
    for (const leave of leaves) leave();
  }
  expect(roster.size).toBe(0);
  const last = roster.add(7);
  expect([...roster]).toEqual([7]);
  last();
});

test('by number: who left is nobody, and its number may be given again', () => {
  const roster = new NumberedRoster<string>();
  roster.add(1, 'a');
  roster.add(2, 'b');
  roster.remove(1);
  roster.remove(1);
  expect([roster.get(1), roster.get(2), roster.size]).toEqual([undefined, 'b', 1]);
  roster.add(1, 'c');
  const met: string[] = [];
  for (const name of roster) {
    met.push(name);
    roster.remove(1);
  }
  expect(met).toEqual(['b']);
});
