import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Reason } from '../../shared/errors/reasons.ts';
import { Endings } from './endings.ts';

/** What went to the log. */
let logged: string[];
let endings: Endings;

beforeEach(() => {
  logged = [];
  endings = new Endings(pino({ level: 'error' }, { write: (line: string) => logged.push(JSON.parse(line).msg) }));
});

/** Answers with these failures, then well; returns how often it was asked. */
async function end(reasons: Reason[], more: { forMs?: number; notFoundRetries?: number } = {}): Promise<number> {
  let asked = 0;
  const answer = async (): Promise<void> => {
    const reason = reasons[asked++];
    if (reason) throw new MeshError(reason, 'no');
  };
  endings.add({ reservationId: 'r', end: answer, forMs: 60_000, notFoundRetries: 0, isExpendable: false, ...more });
  await endings.idle();
  return asked;
}

test('it is tried again while the outcome is unknown', async () => {
  expect(await end(['STORE_UNAVAILABLE', 'PEER_UNAVAILABLE', 'DEADLINE_EXCEEDED'])).toBe(4);
  expect(logged).toEqual([]);
});

test.each(['RESERVATION_ENDED', 'RESERVATION_NOT_FOUND'] as const)('%s is an answer', async (reason) => {
  expect(await end([reason])).toBe(1);
  expect(logged).toHaveLength(1);
});

test('a reservation that may still be on its way is looked for a few times more', async () => {
  expect(await end(['RESERVATION_NOT_FOUND', 'RESERVATION_NOT_FOUND'], { notFoundRetries: 3 })).toBe(3);
  const never = new Array(9).fill('RESERVATION_NOT_FOUND');
  expect(await end(never, { notFoundRetries: 2 })).toBe(3);
  expect(logged).toEqual([]);
});

test('it is given up, loudly, when there is nothing left to settle', async () => {
  expect(await end(new Array(99).fill('STORE_UNAVAILABLE'), { forMs: 0 })).toBe(1);
  expect(logged).toHaveLength(1);
});

test('a store that comes back is not overrun', async () => {
  let atOnce = 0;
  let most = 0;
  const open = Promise.withResolvers<void>();
  for (let i = 0; i < 500; i += 1) {
    let isFirst = true;
    const answer = async (): Promise<void> => {
      if (isFirst) {
        isFirst = false;
        throw new MeshError('STORE_UNAVAILABLE', 'away');
      }
      most = Math.max(most, ++atOnce);
      if (atOnce === 64) open.resolve();
      await open.promise;
      await setImmediate();
      atOnce -= 1;
    };
    endings.add({ reservationId: `${i}`, end: answer, forMs: 60_000, notFoundRetries: 0, isExpendable: false });
  }
  await endings.idle();
  expect(most).toBe(64);
});

test('however long an outage lasts, what waits is bounded, and refusals leave room for bills', async () => {
  const open = Promise.withResolvers<void>();
  let asked = 0;
  const answer = (): Promise<void> => {
    asked += 1;
    return open.promise;
  };
  const add = (count: number, isExpendable: boolean): number => {
    for (let i = 0; i < count; i += 1) {
      endings.add({ reservationId: `${i}`, end: answer, forMs: 60_000, notFoundRetries: 0, isExpendable });
    }
    return asked;
  };
  expect(add(50_010, true)).toBe(50_000);
  expect(add(50_010, false)).toBe(100_000);
  expect(logged).toHaveLength(20);
  open.resolve();
  await endings.idle();
});
