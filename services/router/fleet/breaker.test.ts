import { beforeEach, expect, test, vi } from 'vitest';
import { Breakers } from './breaker.ts';

let nowMs: number;
let breakers: Breakers;
const onChange = vi.fn();
beforeEach(() => {
  nowMs = 0;
  onChange.mockClear();
  breakers = new Breakers({ now: () => nowMs, onChange });
});

const allows = () => breakers.allows('a');
const fail = (times: number): void => {
  for (let i = 0; i < times; i += 1) breakers.enter('a').failed();
};

test('an engine that fails five times in a row is out, and no other', () => {
  fail(4);
  expect(allows()).toBe(true);
  fail(1);
  expect([allows(), breakers.allows('b')]).toEqual([false, true]);
  expect(onChange).toHaveBeenCalledTimes(1);
});

test('one that fails half of the time goes out too, one that fails now and then does not', () => {
  for (let i = 0; i < 200; i += 1) {
    if (i % 4 === 0) breakers.enter('b').failed();
    else breakers.enter('b').succeeded();
  }
  expect(breakers.allows('b')).toBe(true);
  for (let i = 0; i < 10 && allows(); i += 1) {
    breakers.enter('a').succeeded();
    breakers.enter('a').failed();
  }
  expect(allows()).toBe(false);
});

test('after a second one request may try it, and all when that one makes tokens', () => {
  fail(5);
  nowMs = 999;
  expect(allows()).toBe(false);
  nowMs = 1_000;
  expect(allows()).toBe(true);
  const trial = breakers.enter('a');
  expect(allows()).toBe(false);
  trial.progressed();
  expect(allows()).toBe(true);
  trial.succeeded();
});

test('when the trial fails it is out for twice as long, at most 30 s', () => {
  fail(5);
  let outMs = 1_000;
  for (let i = 0; i < 8; i += 1) {
    nowMs += outMs;
    breakers.enter('a').failed();
    outMs = Math.min(30_000, outMs * 2);
    nowMs += outMs - 1;
    expect(allows()).toBe(false);
    nowMs += 1;
    expect(allows()).toBe(true);
    nowMs -= outMs;
  }
  expect(outMs).toBe(30_000);
});

test('a trial of which nothing is learnt lets somebody else try', () => {
  fail(5);
  nowMs = 1_000;
  const trial = breakers.enter('a');
  trial.left();
  expect(allows()).toBe(true);
  trial.failed();
  expect(allows()).toBe(true);
});

test('just back it goes out by one failure, until it has done well for a while', () => {
  fail(5);
  nowMs = 1_000;
  breakers.enter('a').progressed();
  fail(1);
  expect(allows()).toBe(false);
  nowMs = 10_000;
  breakers.enter('a').progressed();
  for (let i = 0; i < 8; i += 1) breakers.enter('a').succeeded();
  fail(4);
  expect(allows()).toBe(true);
});

test('what was under way when it went out does not keep it out', () => {
  const running = Array.from({ length: 20 }, () => breakers.enter('a'));
  for (const one of running) one.failed();
  nowMs = 1_000;
  expect(allows()).toBe(true);
});
