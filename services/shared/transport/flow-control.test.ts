import { expect, test } from 'vitest';
import { FlowControl } from './flow-control.ts';

test('tells the source of changes only', () => {
  const flow = new FlowControl();
  const seen: boolean[] = [];
  flow.connect((paused) => seen.push(paused));
  flow.pause();
  flow.pause();
  flow.resume();
  flow.resume();
  expect(seen).toEqual([true, false]);
});

test('tells a source that connects late, and no longer the one it replaces', () => {
  const flow = new FlowControl();
  const first: boolean[] = [];
  const second: boolean[] = [];
  flow.connect((paused) => first.push(paused));
  flow.pause();
  flow.connect((paused) => second.push(paused));
  flow.resume();
  expect(first).toEqual([true]);
  expect(second).toEqual([true, false]);
});
