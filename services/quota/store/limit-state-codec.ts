import type { LimitState } from '../budget.ts';

/**
 * A counter as bytes, little-endian, as Node's platforms are: doubles, the first of which says from when on it says nothing and the
 * second which kind it is; of a window the steps follow, of each how many it is
 * before the newest and what was spent in it, 4 bytes each. Version 2 of the file had the counts of all steps, the newest first.
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
    case WINDOW:
    case WINDOW_OF_VERSION_2: {
      const steps: number[] = [];
      let spent = 0;
      const isOld = kind === WINDOW_OF_VERSION_2;
      for (
        let at = isOld ? bytes.byteLength - 4 : HEADER_BYTES;
        at >= HEADER_BYTES && at < bytes.byteLength;
        at += isOld ? -4 : 8
      ) {
        const age = isOld ? (at - HEADER_BYTES) / 4 : view.getUint32(at, true);
        const count = view.getUint32(isOld ? at : at + 4, true);
        if (count > 0) steps.push(first - age, count);
        spent += count;
      }
      return { kind: 'window', held, newestStep: first, spent, steps };
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

const WINDOW_OF_VERSION_2 = 1;
const CALENDAR = 2;
const BUCKET = 3;
const CONCURRENCY = 4;
const WINDOW = 5;
const HEADER_BYTES = 40;

function encodeWindow(
  { held, newestStep, steps }: Extract<LimitState, { kind: 'window' }>,
  idleAtMs: number,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + 4 * steps.length);
  new Float64Array(bytes.buffer, 0, 4).set([idleAtMs, WINDOW, held, newestStep]);
  const told = new Uint32Array(bytes.buffer, HEADER_BYTES);
  for (let i = 0; i < steps.length; i += 2) {
    told[i] = newestStep - (steps[i] ?? 0);
    told[i + 1] = steps[i + 1] ?? 0;
  }
  return bytes;
}

function doubles(...numbers: number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(numbers).buffer);
}
