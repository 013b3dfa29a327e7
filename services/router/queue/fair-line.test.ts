import { expect, test } from 'vitest';
import { FairLine, type InLine } from './fair-line.ts';

interface Waiter extends InLine {
  readonly name: string;
}

const bounds = { most: 1_000, mostBytes: 1_000_000, ageingMs: 10_000 };
const nobody: ReadonlySet<Waiter> = new Set();
let clockMs = 0;

function lineOf(more: Partial<typeof bounds> = {}): FairLine<Waiter> {
  return new FairLine<Waiter>({ ...bounds, ...more });
}

function waiter(organization: string, more: Partial<Waiter> = {}): Waiter {
  clockMs += 1;
  return {
    name: `${organization}${clockMs}`,
    organization,
    priority: 0,
    tokens: 100,
    bytes: 10,
    sinceMs: clockMs,
    ...more,
  };
}

/** Comes in as the queue lets somebody in. Returns who had to leave, or undefined when he was refused. */
function come(line: FairLine<Waiter>, newcomer: Waiter): readonly Waiter[] | undefined {
  const leavers = line.leaversFor(newcomer);
  if (!leavers) return undefined;
  for (const leaver of leavers) line.remove(leaver, false);
  line.add(newcomer);
  return leavers;
}

/** Gives so many turns; tells whose they were. */
function turns(line: FairLine<Waiter>, count: number, nowMs = clockMs): string[] {
  return Array.from({ length: count }, () => {
    const next = line.next(nowMs, nobody) ?? expect.fail();
    line.remove(next, true);
    return next.organization;
  });
}

test('within one organisation who came first goes first', () => {
  const line = lineOf();
  const all = [waiter('a'), waiter('a'), waiter('a')];
  for (const one of all) line.add(one);
  const order = all.map(() => {
    const next = line.next(clockMs, nobody) ?? expect.fail();
    line.remove(next, true);
    return next;
  });
  expect(order).toEqual(all);
  expect([line.size, line.bytes, line.next(clockMs, nobody)]).toEqual([0, 0, undefined]);
});

test('a flood of one organisation costs another one turn, whenever it comes', () => {
  const line = lineOf();
  for (let i = 0; i < 200; i += 1) line.add(waiter('flood'));
  turns(line, 50);
  for (let i = 0; i < 3; i += 1) line.add(waiter('small'));
  expect(turns(line, 6)).toEqual(['flood', 'small', 'flood', 'small', 'flood', 'small']);
});

test.each([
  ['big', 'small'],
  ['small', 'big'],
])('turns are shared by tokens: who asks for much gets fewer, whether %s or %s came first', (...order) => {
  const line = lineOf();
  for (const organization of order) {
    const isBig = organization === 'big';
    for (let i = 0; i < 40; i += 1) line.add(waiter(organization, { tokens: isBig ? 400 : 100 }));
  }
  const given = turns(line, 25);
  expect(given.filter((organization) => organization === 'big')).toHaveLength(5);
});

test('who left without a turn is not charged for it', () => {
  const line = lineOf();
  const flood = Array.from({ length: 100 }, () => waiter('a'));
  for (const one of flood) line.add(one);
  for (const one of flood) line.remove(one, false);
  line.add(waiter('b'));
  line.add(waiter('a'));
  line.add(waiter('b'));
  expect(turns(line, 3)).toEqual(['b', 'a', 'b']);
});

test('a higher priority goes first, and who waits long rises to it', () => {
  const line = lineOf();
  line.add(waiter('free', { name: 'old', sinceMs: 0 }));
  line.add(waiter('free', { name: 'new', sinceMs: 15_000 }));
  for (let i = 0; i < 3; i += 1) line.add(waiter('paid', { priority: 2, sinceMs: 15_000 }));
  expect(line.next(19_999, nobody)?.organization).toBe('paid');
  expect(turns(line, 1, 20_000)).toEqual(['free']);
  expect(turns(line, 4, 20_001)).toEqual(['paid', 'paid', 'paid', 'free']);
});

test('who is passed over keeps the turn', () => {
  const line = lineOf();
  const [first, second] = [waiter('a'), waiter('b')];
  line.add(first);
  line.add(second);
  expect(line.next(clockMs, new Set([first]))).toBe(second);
  line.remove(second, true);
  expect(line.next(clockMs, nobody)).toBe(first);
});

test('a full line makes room at the cost of the one that floods it, the last who came first', () => {
  const line = lineOf({ most: 4 });
  const flood = Array.from({ length: 4 }, () => waiter('flood'));
  for (const one of flood) expect(come(line, one)).toEqual([]);
  expect(come(line, waiter('flood'))).toBeUndefined();
  expect(come(line, waiter('small'))).toEqual([flood[3]]);
  expect(come(line, waiter('small'))).toEqual([flood[2]]);
  // Two and two: nobody has more than his share.
  expect(come(line, waiter('small'))).toBeUndefined();
  expect(come(line, waiter('flood'))).toBeUndefined();
  expect(come(line, waiter('third'))).toHaveLength(1);
  expect(line.size).toBe(4);
});

test('in a full line a lower priority leaves for a higher one, never the other way', () => {
  const line = lineOf({ most: 2 });
  const paid = waiter('a', { priority: 1 });
  const free = waiter('a');
  come(line, paid);
  come(line, free);
  expect(come(line, waiter('a'))).toBeUndefined();
  expect(come(line, waiter('a', { priority: 1 }))).toEqual([free]);
  expect(come(line, waiter('b'))).toBeUndefined();
});

test('what waits is bounded in bytes too', () => {
  const line = lineOf({ mostBytes: 100 });
  const big = [waiter('flood', { bytes: 45 }), waiter('flood', { bytes: 45 })];
  for (const one of big) come(line, one);
  expect(come(line, waiter('flood', { bytes: 45 }))).toBeUndefined();
  expect(come(line, waiter('small', { bytes: 30 }))).toEqual([big[1]]);
  expect(line.bytes).toBe(75);
  expect(come(line, waiter('third', { bytes: 101 }))).toBeUndefined();
});

test('with thousands of random comings, turns and leavings nobody is lost and no organisation gets more than its share', () => {
  let seed = 7;
  const random = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return seed / 0x80000000;
  };
  const line = lineOf({ most: 300 });
  const waiting = new Set<Waiter>();
  const given = new Map<string, number>();
  for (let step = 0; step < 20_000; step += 1) {
    const name = random() < 0.8 ? 'flood' : `small${Math.floor(random() * 3)}`;
    const newcomer = waiter(name, { tokens: 1 + Math.floor(random() * 200) });
    const leavers = come(line, newcomer);
    for (const leaver of leavers ?? []) expect(waiting.delete(leaver)).toBe(true);
    if (leavers) waiting.add(newcomer);
    else expect(name).toBe('flood');
    if (random() < 0.1) {
      const [leaver] = waiting;
      if (leaver) line.remove(leaver, false);
      if (leaver) waiting.delete(leaver);
    }
    if (random() < 0.7) {
      const next = line.next(clockMs, nobody);
      if (!next) continue;
      line.remove(next, true);
      expect(waiting.delete(next)).toBe(true);
      given.set(next.organization, (given.get(next.organization) ?? 0) + next.tokens);
    }
    expect(line.size).toBe(waiting.size);
  }
  const total = [...given.values()].reduce((sum, tokens) => sum + tokens, 0);
  // The three small ones ask for a fifth of all that comes and, with more turns than that, get all that they ask for.
  const small = total - (given.get('flood') ?? 0);
  expect(small / total).toBeGreaterThan(0.2);
});
