import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCounted, encodeCounted } from './counted-codec.ts';
import { decodeCounter, encodeCounter, idleAtMsOf } from './limit-state-codec.ts';
import type { Counted } from './quota-store.ts';

const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const states = fc.oneof(
  fc.record({
    ...{ kind: fc.constant('window' as const), held: whole, newestStep: fc.integer() },
    counts: fc.array(fc.nat({ max: 2 ** 32 - 1 }), { minLength: 2, maxLength: 61 }),
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
      const elsewhere = new Uint8Array(offset + bytes.length);
      elsewhere.set(bytes, offset);
      expect(decodeCounter(elsewhere.subarray(offset))).toEqual(state);
      expect(idleAtMsOf(elsewhere.subarray(offset))).toBe(idleAtMs);
    }),
  );
});

test('of a window only what counts takes room', () => {
  const counts = new Array<number>(61).fill(0);
  const empty = encodeCounter({ kind: 'window', held: 0, newestStep: 9, counts }, 0).length;
  counts[2] = 1;
  expect(encodeCounter({ kind: 'window', held: 0, newestStep: 9, counts }, 0).length).toBe(empty + 12);
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
