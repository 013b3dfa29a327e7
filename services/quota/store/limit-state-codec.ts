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
  const kind = view.getFloat64(8, true);
  const held = view.getFloat64(16, true);
  if (kind === CONCURRENCY) return { kind: 'concurrency', held };
  const first = view.getFloat64(24, true);
  switch (kind) {
    case WINDOW:
      return windowOf(view, held, first);
    case WINDOW_OF_VERSION_2:
      return oldWindowOf(view, held, first);
    case CALENDAR:
      return { kind: 'calendar', held, period: first, spent: view.getFloat64(32, true) };
    case BUCKET:
      return { kind: 'bucket', held, level: first, updatedAtMs: view.getFloat64(32, true) };
    default:
      throw new Error(`a limit's state of unknown kind ${kind}`);
  }
}

function windowOf(view: DataView, held: number, newestStep: number): LimitState {
  const steps: number[] = [];
  let spent = 0;
  for (let at = WINDOW_HEADER_BYTES; at < view.byteLength; at += 8) {
    const count = view.getUint32(at + 4, true);
    steps.push(newestStep - view.getUint32(at, true), count);
    spent += count;
  }
  return { kind: 'window', held, newestStep, spent, steps };
}

function oldWindowOf(view: DataView, held: number, newestStep: number): LimitState {
  const steps: number[] = [];
  let spent = 0;
  for (let at = view.byteLength - 4; at >= 40; at -= 4) {
    const count = view.getUint32(at, true);
    if (count > 0) steps.push(newestStep - (at - 40) / 4, count);
    spent += count;
  }
  return { kind: 'window', held, newestStep, spent, steps };
}

const WINDOW_OF_VERSION_2 = 1;
const CALENDAR = 2;
const BUCKET = 3;
const CONCURRENCY = 4;
const WINDOW = 5;
const WINDOW_HEADER_BYTES = 32;

function encodeWindow(
  { held, newestStep, steps }: Extract<LimitState, { kind: 'window' }>,
  idleAtMs: number,
): Uint8Array {
  const bytes = new Uint8Array(WINDOW_HEADER_BYTES + 4 * steps.length);
  new Float64Array(bytes.buffer, 0, 4).set([idleAtMs, WINDOW, held, newestStep]);
  const told = new Uint32Array(bytes.buffer, WINDOW_HEADER_BYTES);
  for (let i = 0; i < steps.length; i += 2) {
    told[i] = newestStep - (steps[i] ?? 0);
    told[i + 1] = steps[i + 1] ?? 0;
  }
  return bytes;
}

function doubles(...numbers: number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(numbers).buffer);
}
