import { expect, test } from 'vitest';
import { GatheredWrites } from './gathered-writes.ts';
import type { StreamedBody } from './streamed-body.ts';

interface Client {
  readonly writes: GatheredWrites;
  /** What left, in the pieces in which it left. */
  readonly pieces: string[];
  full: number;
}

/** A response that notes what it is given; `keepsUp` is what it says of its client. */
function client(keepsUp = true): Client {
  const pieces: string[] = [];
  const body: StreamedBody = {
    write(text) {
      pieces.push(text);
      return keepsUp;
    },
    end: (text) => void pieces.push(`${text}|`),
  };
  const made: Client = { pieces, full: 0, writes: new GatheredWrites(body, () => made.full++) };
  return made;
}

/** The immediates of this turn were set before this one. */
function turnEnd(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('what a turn brings leaves in one piece for each response, in the order in which it came', async () => {
  const [one, other] = [client(), client()];
  one.writes.write('a');
  other.writes.write('x');
  one.writes.write('b');
  expect([one.pieces, other.pieces]).toEqual([[], []]);
  await turnEnd();
  expect([one.pieces, other.pieces]).toEqual([['ab'], ['x']]);
  one.writes.write('c');
  await turnEnd();
  expect(one.pieces).toEqual(['ab', 'c']);
});

test('what is sent at once takes with it what was written before, and nothing leaves twice', async () => {
  const { writes, pieces } = client();
  writes.write('a');
  writes.send('b');
  expect(pieces).toEqual(['ab']);
  writes.write('c');
  writes.end('d');
  expect(pieces).toEqual(['ab', 'cd|']);
  await turnEnd();
  expect(pieces).toEqual(['ab', 'cd|']);
});

test('what was dropped does not leave', async () => {
  const { writes, pieces } = client();
  writes.write('a');
  writes.drop();
  await turnEnd();
  expect(pieces).toEqual([]);
});

test('a turn that brings much to one response or something to many does not hold it back', () => {
  const much = client();
  much.writes.write('a'.repeat(16 * 1024));
  expect(much.pieces).toHaveLength(1);
  const many = Array.from({ length: 32 }, () => client());
  for (const { writes } of many.slice(1)) writes.write('a');
  expect(many.flatMap(({ pieces }) => pieces)).toEqual([]);
  many[0]?.writes.write('a');
  expect(many.flatMap(({ pieces }) => pieces)).toHaveLength(32);
});

test('who does not keep up is told of, each time', async () => {
  const slow = client(false);
  slow.writes.write('a');
  expect(slow.full).toBe(0);
  await turnEnd();
  slow.writes.send('b');
  expect(slow.full).toBe(2);
});

test('tells when something last left', async () => {
  const { writes } = client();
  const madeAtMs = writes.lastSentAtMs;
  writes.write('a');
  expect(writes.lastSentAtMs).toBe(madeAtMs);
  await turnEnd();
  expect(writes.lastSentAtMs).toBeGreaterThan(madeAtMs);
});
