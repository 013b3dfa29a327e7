import { expect, test } from 'vitest';
import { LogLines } from './log-lines.ts';

test('the last lines are kept, oldest first', () => {
  const lines = new LogLines(100);
  const tail = (count: number) => lines.tail(count).map(({ text }) => Number(text));
  expect(tail(5)).toEqual([]);
  for (let index = 0; index < 5_000; index++) {
    lines.add({ atMs: 0, fromStderr: false, text: String(index) });
    if (index >= 100) expect(tail(100).length).toBe(100);
  }
  expect(tail(2)).toEqual([4_998, 4_999]);
  expect(tail(0)).toEqual([]);
  expect(tail(10_000).length).toBeLessThanOrEqual(200);
});
