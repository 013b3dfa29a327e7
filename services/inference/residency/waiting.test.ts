import { expect, test } from 'vitest';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { Waiting } from './waiting.ts';

const gone = new MeshError('CLIENT_GONE', 'gone');

function setUp() {
  const told: string[] = [];
  let left = 0;
  const waiting = new Waiting('chat', () => left++);
  function add(name: string, nowMs: number): AbortController {
    const abort = new AbortController();
    waiting.add(
      {
        signal: abort.signal,
        ready: () => told.push(`${name} ready`),
        refused: (why) => told.push(`${name} ${why}`),
        fail: ({ reason }) => told.push(`${name} ${reason}`),
      },
      nowMs,
    );
    return abort;
  }
  return { waiting, told, add, left: () => left };
}

test('all are admitted in the order in which they came, once', () => {
  const { waiting, told, add } = setUp();
  add('a', 5);
  const b = add('b', 7);
  expect([waiting.count, waiting.sinceMs]).toEqual([2, 5]);
  waiting.admitAll();
  b.abort(gone);
  waiting.admitAll();
  expect(told).toEqual(['a ready', 'b ready']);
  expect([waiting.count, waiting.sinceMs]).toEqual([0, undefined]);
});

test('who leaves is told why, and the others keep the time that was waited', () => {
  const { waiting, told, add, left } = setUp();
  const a = add('a', 5);
  add('b', 7);
  a.abort(gone);
  expect(left()).toBe(1);
  expect(waiting.sinceMs).toBe(5);
  waiting.refuseAll('no-room');
  expect(told).toEqual(['a CLIENT_GONE', 'b no-room']);
});

test('too many are refused at once, and so is who has left already', () => {
  const { waiting, told, add } = setUp();
  for (let i = 0; i < 1_024; i++) add(String(i), i);
  add('one more', 2_000);
  expect(told).toEqual(['one more ENGINE_BUSY']);
  waiting.failAll(gone);
  const early = new AbortController();
  early.abort(gone);
  waiting.add({ signal: early.signal, ready: () => {}, refused: () => {}, fail: () => told.push('early') }, 0);
  expect(told.at(-1)).toBe('early');
  expect(waiting.count).toBe(0);
});
