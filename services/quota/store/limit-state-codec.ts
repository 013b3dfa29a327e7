import type { LimitState } from '../budget.ts';

/**
 * A state as bytes, little-endian, as Node's platforms are: doubles, the first of which says which kind it is; of a window
 * the counts follow, 4 bytes each, without the zeros at their end.
 */
export function encodeState(state: LimitState): Uint8Array {
  switch (state.kind) {
    case 'window':
      return encodeWindow(state);
    case 'calendar':
      return doubles(CALENDAR, state.held, state.period, state.spent);
    case 'bucket':
      return doubles(BUCKET, state.held, state.level, state.updatedAtMs);
    case 'concurrency':
      return doubles(CONCURRENCY, state.held);
  }
}

/** The reverse of encodeState. */
export function decodeState(bytes: Uint8Array): LimitState {
  // Numbers must lie at multiples of their size; what the driver hands out may not.
  const { buffer, byteLength } = bytes.byteOffset === 0 ? bytes : bytes.slice();
  const header = new Float64Array(buffer, 0, Math.min(HEADER_BYTES, byteLength) / 8);
  const [kind, held = 0, first = 0, second = 0] = header;
  switch (kind) {
    case WINDOW: {
      const counts = Array.from(new Uint32Array(buffer, HEADER_BYTES, (byteLength - HEADER_BYTES) / 4));
      while (counts.length < second) counts.push(0);
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
const HEADER_BYTES = 32;

function encodeWindow({ held, newestStep, counts }: Extract<LimitState, { kind: 'window' }>): Uint8Array {
  let used = counts.length;
  while (used > 0 && counts[used - 1] === 0) used -= 1;
  const bytes = new Uint8Array(HEADER_BYTES + 4 * used);
  new Float64Array(bytes.buffer, 0, 4).set([WINDOW, held, newestStep, counts.length]);
  const told = new Uint32Array(bytes.buffer, HEADER_BYTES);
  for (let age = 0; age < used; age += 1) told[age] = counts[age] ?? 0;
  return bytes;
}

function doubles(...numbers: number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(numbers).buffer);
}
