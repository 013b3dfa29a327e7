import type { LimitState } from '../budget.ts';

/**
 * A counter as bytes, little-endian, as Node's platforms are: doubles, the first of which says from when on it says nothing and the
 * second which kind it is; of a window the counts follow, 4 bytes each, without the zeros at their end.
 */
export function encodeCounter(state: LimitState, idleAtMs: number): Uint8Array {
  switch (state.kind) {
    case 'window':
      return encodeWindow(state, idleAtMs);
    case 'calendar':
      return doubles(idleAtMs, CALENDAR, state.held, state.period, state.spent);
    case 'bucket':
      return doubles(idleAtMs, BUCKET, state.held, state.level, state.updatedAtMs);
    case 'concurrency':
      return doubles(idleAtMs, CONCURRENCY, state.held);
  }
}

/** From when on a counter says nothing. */
export function idleAtMsOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);
}

/** The state of a counter. */
export function decodeCounter(bytes: Uint8Array): LimitState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const double = (i: number): number => (8 * i + 8 <= bytes.byteLength ? view.getFloat64(8 * i, true) : 0);
  const [kind, held, first, second] = [double(1), double(2), double(3), double(4)];
  switch (kind) {
    case WINDOW: {
      const counts = new Array<number>(second).fill(0);
      for (let at = HEADER_BYTES; at < bytes.byteLength; at += 4)
        counts[(at - HEADER_BYTES) / 4] = view.getUint32(at, true);
      return { kind: 'window', held, newestStep: first, counts };
    }
    case CALENDAR:
      return { kind: 'calendar', held, period: first, spent: second };
    case BUCKET:
      return { kind: 'bucket', held, level: first, updatedAtMs: second };
    case CONCURRENCY:
      return { kind: 'concurrency', held };
    default:
      throw new Error(`a limit's state of unknown kind ${kind}`);
  }
}

const WINDOW = 1;
const CALENDAR = 2;
const BUCKET = 3;
const CONCURRENCY = 4;
const HEADER_BYTES = 40;

function encodeWindow(
  { held, newestStep, counts }: Extract<LimitState, { kind: 'window' }>,
  idleAtMs: number,
): Uint8Array {
  let used = counts.length;
  while (used > 0 && counts[used - 1] === 0) used -= 1;
  const bytes = new Uint8Array(HEADER_BYTES + 4 * used);
  new Float64Array(bytes.buffer, 0, 5).set([idleAtMs, WINDOW, held, newestStep, counts.length]);
  const told = new Uint32Array(bytes.buffer, HEADER_BYTES);
  for (let age = 0; age < used; age += 1) told[age] = counts[age] ?? 0;
  return bytes;
}

function doubles(...numbers: number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(numbers).buffer);
}
