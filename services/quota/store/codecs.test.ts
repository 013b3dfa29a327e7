import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCounted, encodeCounted } from './counted-codec.ts';
import { decodeCounter, encodeCounter, idleAtMsOf } from './limit-state-codec.ts';
import type { Counted } from './quota-store.ts';

const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const states = fc.oneof(
  fc
    .record({
      ...{ held: whole, newestStep: fc.nat({ max: 2 ** 40 }) },
      spentByAge: fc.dictionary(fc.nat({ max: 60 }).map(String), fc.integer({ min: 1, max: 2 ** 32 - 1 })),
    })
    .map(({ held, newestStep, spentByAge }) => {
      const ages = Object.entries(spentByAge).reverse();
      const spent = ages.reduce((sum, [, count]) => sum + count, 0);
      const steps = ages.flatMap(([age, count]) => [newestStep - Number(age), count]);
      return { kind: 'window' as const, held, newestStep, spent, steps };
    }),
  fc.record({ kind: fc.constant('calendar' as const), held: whole, period: whole, spent: whole }),
  // A bucket that owes stands below 0.
  fc.record({ kind: fc.constant('bucket' as const), held: whole, level: fc.maxSafeInteger(), updatedAtMs: whole }),
  fc.record({ kind: fc.constant('concurrency' as const), held: whole }),
);
const rules = fc.oneof(
  fc.record({ kind: fc.constant('window' as const), maximum: whole, stepMs: whole, steps: whole }),
  fc.record({
    ...{ kind: fc.constant('calendar' as const), maximum: whole },
    period: fc.constantFrom('day' as const, 'month' as const),
  }),
  fc.record({ kind: fc.constant('bucket' as const), refillPerMinute: whole, burst: whole }),
  fc.record({ kind: fc.constant('concurrency' as const), maximum: whole }),
);

test('a counter comes back as it was, from bytes that lie anywhere', () => {
  fc.assert(
    fc.property(states, whole, fc.nat({ max: 9 }), (state, idleAtMs, offset) => {
      const bytes = encodeCounter(state, idleAtMs);
      const elsewhere = Buffer.alloc(offset + bytes.length + 9);
      elsewhere.set(bytes, offset);
      expect(decodeCounter(elsewhere, offset, offset + bytes.length)).toEqual(state);
      expect(idleAtMsOf(elsewhere.subarray(offset))).toBe(idleAtMs);
    }),
  );
});

test('of a window only what counts takes room', () => {
  const window = { kind: 'window' as const, held: 0, newestStep: 60 };
  const empty = encodeCounter({ ...window, spent: 0, steps: [] }, 0).length;
  expect(encodeCounter({ ...window, spent: 1, steps: [7, 1] }, 0).length).toBe(empty + 8);
});

test('a window of version 2 of the file is understood', () => {
  const bytes = Buffer.alloc(40 + 12);
  for (const [i, double] of [99, 1, 7, 1_000, 61].entries()) bytes.writeDoubleLE(double, 8 * i);
  for (const [i, count] of [5, 0, 3].entries()) bytes.writeUInt32LE(count, 40 + 4 * i);
  expect(decodeCounter(bytes, 0, bytes.length)).toEqual({
    kind: 'window',
    held: 7,
    newestStep: 1_000,
    spent: 8,
    steps: [998, 3, 1_000, 5],
  });
});

test('limits come back as they were, whatever their counters are called', () => {
  const unit = fc.constantFrom('requests' as const, 'tokens' as const, 'concurrent_requests' as const);
  fc.assert(
    fc.property(
      fc.array(fc.record({ counter: fc.string({ unit: 'binary' }), unit, rule: rules })),
      (limits: Counted[]) => {
        expect(decodeCounted(encodeCounted(limits))).toEqual(limits);
        expect(encodeCounted(limits)).toBe(encodeCounted(limits));
      },
    ),
  );
});
